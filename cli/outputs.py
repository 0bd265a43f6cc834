"""Checks that the files a command will write can be written, before the work begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.core.os_errors import why_not_writable

OUTPUTS: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("save", ("query", "search", "similar", "captions"), False),
    ("report", ("index", "evaluate"), True),
    ("out", ("export",), False),
    ("out", ("train", "data"), True),
    ("keys", ("keys",), False),
)
"""Options that name an output, the commands, and whether these make missing folders above it."""
REPLACED = ("export", "keys")
"""Commands that replace an old file by a new one, for which they must be able to write to its folder."""


def check_outputs(command: str, given: Mapping[str, Any]) -> None:
    """Returns if every output that the options name can be written; nothing is created or changed.

    Raises:
        InputError: The file, why it can't be written, and what to do.
    """
    for option, commands, makes_folders in OUTPUTS:
        path: Path | None = given.get(option)
        if path is None or command not in commands:
            continue
        why = why_not_writable(path, makes_folders=makes_folders)
        if why is None and command in REPLACED:
            why = why_not_writable(path.parent)
        if why is None and path.is_dir() and command not in ("train", "data"):
            why = "it is a folder, not a file: choose another name"
        if why is None and option == "save":
            why = _why_no_picture(path)
        if why is not None:
            raise InputError(f"{path} can't be written: {why}")


def _why_no_picture(path: Path) -> str | None:
    from PIL import Image

    kind = Image.registered_extensions().get(path.suffix.lower())
    return None if kind in Image.SAVE else "Pillow writes no files with this ending: choose .png or .jpg"
