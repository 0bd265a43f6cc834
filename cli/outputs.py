"""Checks before the work begins that a command can write its output files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.core.os_errors import why_not_writable

OUTPUTS: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("save", ("query", "search", "similar", "captions", "saved"), False),
    ("report", ("index", "encode", "evaluate"), True),
    ("run", ("evaluate",), True),
    ("qrels", ("evaluate",), True),
    ("out", ("export",), False),
    ("out", ("train", "data", "encode"), True),
    ("keys", ("keys",), False),
)
"""The option with the path, its commands, and whether they create missing parent folders."""
SAVED = (".zip", ".csv", ".json", ".pdf")
"""Endings of --save besides those of pictures."""
REPLACED = ("export", "keys")
"""Commands that replace the file with a new one, so the folder must be writable too."""


def check_outputs(command: str, values: Mapping[str, Any]) -> None:
    """Checks that every output file of the options can be written; creates and changes nothing.

    Raises:
        InputError: An output can't be written; the message has the path, the reason and the next step.
    """
    for option, commands, makes_folders in OUTPUTS:
        path: Path | None = values.get(option)
        if path is None or command not in commands:
            continue
        why = why_not_writable(path, makes_folders=makes_folders)
        if why is None and command in REPLACED:
            why = why_not_writable(path.parent)
        if why is None and path.is_dir() and command not in ("train", "data", "encode"):
            why = "it is a folder, not a file: choose another name"
        if why is None and option == "save":
            why = _why_not_saved(path)
        if why is not None:
            raise InputError(f"{path} can't be written: {why}")


def _why_not_saved(path: Path) -> str | None:
    from PIL import Image

    if path.suffix.lower() in SAVED or Image.registered_extensions().get(path.suffix.lower()) in Image.SAVE:
        return None
    return "results can't be written with this ending: choose .zip, .csv, .json, .pdf, .png or .jpg"
