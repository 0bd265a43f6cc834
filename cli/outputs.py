"""Whether what a task is to write can be written, asked before the work begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.core.os_errors import why_not_writable

QUERIES = ("query", "query-t2i", "query-i2t", "query-i2i")
OUTPUTS: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("save", QUERIES, False),
    ("report", ("index", "evaluate"), True),
    ("out", ("export",), False),
    ("out", ("train", "data"), True),
    ("keys", ("keys",), False),
)
"""Options that name an output, for which tasks, and whether these make the folders above it."""
REPLACED = ("export", "keys")
"""Tasks that put a new file into the place of the old one, for which they need its folder."""


def check_outputs(task: str, given: Mapping[str, Any]) -> None:
    """Returns where everything that the options name can be written; nothing is created or changed.

    Raises:
        InputError: The option, the file, why it can't be written, and what to do.
    """
    for option, tasks, makes_folders in OUTPUTS:
        path: Path | None = given.get(option)
        if path is None or task not in tasks:
            continue
        why = why_not_writable(path, makes_folders=makes_folders)
        if why is None and task in REPLACED:
            why = why_not_writable(path.parent)
        if why is None and path.is_dir() and task not in ("train", "data"):
            why = "it is a folder, not a file: choose another name"
        if why is None and option == "save":
            why = _why_no_picture(path)
        if why is not None:
            raise InputError(f"--{option} {path} can't be written: {why}")


def _why_no_picture(path: Path) -> str | None:
    from PIL import Image

    kind = Image.registered_extensions().get(path.suffix.lower())
    return None if kind in Image.SAVE else "Pillow writes no files with this ending: choose .png or .jpg"
