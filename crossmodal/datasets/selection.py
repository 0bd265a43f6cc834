"""What of a folder is taken: its pictures, and the text files that may be captions; the rest is counted by reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from crossmodal.core.types import Failure, Skipped
from crossmodal.datasets.text import as_utf8
from crossmodal.images.decode import EXTENSIONS

SYSTEM_FOLDERS = frozenset({
    "@eadir", "@recycle", "@recently-snapshot", "@tmp", "@thumb", "#recycle", "#snapshot", "$recycle.bin", "recycler",
    "system volume information", "lost+found", "__macosx",
    ".thumbnails", ".trash", ".trashes", ".picasaoriginals", ".spotlight-v100", ".fseventsd", ".@__thumb",
    ".cache", ".git",
})  # fmt: skip
"""Folders in which NAS, desktops and archives keep thumbnails, deleted files and books of their own; in lower case."""

SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"})


@dataclass
class Selection:
    """What was found below a folder.

    `pictures` and `texts` (`.txt`) are sorted paths relative to the folder, with `/` between folders.
    """

    root: Path
    pictures: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    _skipped: dict[str, Skipped] = field(default_factory=dict)

    def skip(self, reason: str, name: str) -> None:
        """Counts something that is passed over."""
        known = self._skipped.get(reason)
        self._skipped[reason] = replace(known, n=known.n + 1) if known else Skipped(reason, 1, as_utf8(name))

    @property
    def skipped(self) -> list[Skipped]:
        """What is passed over, by reason."""
        return [self._skipped[reason] for reason in sorted(self._skipped)]

    def __str__(self) -> str:
        told = [f"{skipped.n} {skipped.reason}" for skipped in self.skipped]
        told += [f"{failure.path}: {failure.reason}" for failure in self.failures[:3]]
        return "; ".join(told)


def select(root: Path, *leave_out: Path) -> Selection:
    """Looks through a folder to the bottom; hidden and system files and folders are passed over, links to folders are
    not followed, so no loop is walked. The folder itself may be hidden, as it was asked for.

    Args:
        root: The folder.
        leave_out: Files that are read otherwise, such as the caption file: neither taken nor counted.
    """
    found = Selection(root)

    def unreadable(error: OSError) -> None:
        found.failures.append(Failure(as_utf8(str(error.filename)), f"the folder can't be read: {error.strerror}"))

    apart = {os.path.abspath(path) for path in leave_out}
    top = os.path.abspath(root)
    for parent, folders, files in os.walk(root, onerror=unreadable):
        below = os.path.relpath(parent, root)
        at = "" if below == "." else f"{below}/"
        folders[:] = sorted(_walked(found, parent, at, folders))
        for name in sorted(files):
            if os.path.join(top, at, name) not in apart:
                _take(found, parent, at, name)
    found.pictures.sort(key=lambda path: path.split("/"))
    return found


def _walked(found: Selection, parent: str, at: str, folders: list[str]) -> Iterator[str]:
    for name in folders:
        if os.path.islink(os.path.join(parent, name)):
            found.skip("links to folders", at + name)
        elif system := _system_folder(name):
            found.skip(f"system folders named {system}", at + name)
        elif name.startswith("."):
            found.skip("hidden folders", at + name)
        else:
            yield name


def _system_folder(name: str) -> str:
    """The kind of a system folder, nothing for another one; `.Trash-1000` is of the kind `.trash`."""
    folded = name.lower()
    kind = ".trash" if folded.startswith(".trash-") else folded
    return as_utf8(name) if kind in SYSTEM_FOLDERS else ""


def _take(found: Selection, parent: str, at: str, name: str) -> None:
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith("._"):
        found.skip("system files named ._*", at + name)
    elif name.lower() in SYSTEM_FILES:
        found.skip(f"system files named {name}", at + name)
    elif name.startswith("."):
        found.skip("hidden files", at + name)
    elif suffix == ".txt":
        found.texts.append(at + name)
    elif suffix not in EXTENSIONS:
        found.skip(f"files ending in {as_utf8(suffix)}" if suffix.strip(".") else "files without an ending", at + name)
    elif as_utf8(at + name) != at + name or as_utf8(parent) != parent:
        found.failures.append(Failure(as_utf8(os.path.join(parent, name)), "its name is not UTF-8: rename it"))
    else:
        found.pictures.append(at + name)
