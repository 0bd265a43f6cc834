"""The generations of a collection: which of its folders is current, and which came before it.

The first generation lies in the collection's folder itself; each later one is a folder `generation-N` inside it, with
all its files. `current.json` names the current generation and the previous one. It is replaced by a rename, so the
change from one generation to the next is atomic.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from crossmodal.core.errors import StateError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason

CURRENT = "current.json"
_NAME = re.compile(r"generation-\d+")


def is_generation(name: str) -> bool:
    """Whether a name is that of a later generation's folder."""
    return _NAME.fullmatch(name) is not None


def generations(root: Path) -> list[Path]:
    """The folders of a collection's later generations, in alphabetical order."""
    return sorted(path for path in root.iterdir() if path.is_dir() and is_generation(path.name))


def next_generation_name(root: Path) -> str:
    """A name that no generation has; the first generation, which has no folder of its own, counts as 1."""
    taken = [int(path.name.split("-")[1]) for path in generations(root)]
    return f"generation-{max(taken, default=1) + 1}"


def generation_mark(root: Path) -> tuple[int, int]:
    """Changes when another generation becomes current. Takes a microsecond, so every query may call it."""
    try:
        found = (root / CURRENT).stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns


def read_current(root: Path) -> dict[str, str]:
    """The names of the `current` and the `previous` generation; empty if the collection has only its first one.

    Raises:
        StateError: The file can't be read, or is damaged.
    """
    path = root / CURRENT
    try:
        named = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise StateError(f"{path} can't be read: {reason(error, path)}") from error
    except ValueError as error:
        raise StateError(f"{path} is damaged ({error}): it names the current generation") from error
    if not isinstance(named, dict) or not all(
        isinstance(name, str) and (name == "" or is_generation(name)) for name in named.values()
    ):
        raise StateError(f"{path} is damaged: it names the current generation")
    return named


def write_current(root: Path, current: Path, previous: Path) -> None:
    """Makes `current` the current generation, atomically; both are folders at or below `root`."""
    named = {"current": current.relative_to(root).name, "previous": previous.relative_to(root).name}
    write_atomically(root / CURRENT, json.dumps(named, indent=1).encode())


def remove_first(root: Path) -> None:
    """Removes the files of the first generation, which shares its folder with the later ones."""
    shutil.rmtree(root / "index", ignore_errors=True)
    for path in root.iterdir():
        if path.is_file() and path.name not in (CURRENT, "writer.lock"):
            path.unlink()
