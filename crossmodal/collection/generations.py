"""The generations of a collection, and the file that names the current and the previous one.

The files of the first generation are in the collection's folder; each later generation has a folder `generation-N` in
it. `current.json` names the current and the previous generation. It is replaced by a rename, so that a change of the
generation is atomic.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection
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
    """The name of the next generation; the first generation, which has no `generation-N` folder, counts as 1."""
    taken = [int(path.name.split("-")[1]) for path in generations(root)]
    return f"generation-{max(taken, default=1) + 1}"


def generation_mark(root: Path) -> tuple[int, int]:
    """A value that changes when another generation becomes current; takes a microsecond, so queries can check it.

    Raises:
        StateError: The folder can't be read.
    """
    try:
        status = (root / CURRENT).stat()
    except FileNotFoundError:
        return 0, 0
    except OSError as error:
        raise StateError(f"{root} can't be read: {reason(error, root)}") from error
    return status.st_ino, status.st_mtime_ns


def read_current(root: Path) -> dict[str, str]:
    """The names of the `current` and the `previous` generation; empty if the collection has only the first.

    Raises:
        StateError: The file can't be read, or is damaged.
    """
    path = root / CURRENT
    try:
        names = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise StateError(f"{path} can't be read: {reason(error, path)}") from error
    except ValueError as error:
        raise StateError(f"{path} is damaged ({error}): it should name the current generation") from error
    if not isinstance(names, dict) or not all(
        isinstance(name, str) and (name == "" or is_generation(name)) for name in names.values()
    ):
        raise StateError(f"{path} is damaged: it should name the current generation")
    return names


def write_current(root: Path, current: Path, previous: Path) -> None:
    """Atomically makes `current` the current generation; both folders are `root` or in it."""
    names = {"current": current.relative_to(root).name, "previous": previous.relative_to(root).name}
    write_atomically(root / CURRENT, json.dumps(names, indent=1).encode())


def remove_generations(root: Path, kept: Collection[str]) -> None:
    """Removes the folders of later generations whose names are not in `kept`."""
    for path in generations(root):
        if path.name not in kept:
            shutil.rmtree(path)


def remove_first(root: Path) -> None:
    """Removes the files of the first generation, which are beside the folders of the later ones."""
    shutil.rmtree(root / "index", ignore_errors=True)
    for path in root.iterdir():
        if path.is_file() and path.name not in (CURRENT, "writer.lock"):
            path.unlink()
