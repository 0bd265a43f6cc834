"""Selection of a folder's pictures and possible caption files; all other files are counted by reason."""

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
"""Folders in which NAS, desktops and archives keep thumbnails, deleted files and metadata; in lower case."""

SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"})


@dataclass
class Selection:
    """The files below a folder that a reader uses.

    `pictures` and `texts` (`.txt` files) are sorted paths relative to `root`, with `/` between folders.
    """

    root: Path
    pictures: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    _skipped: dict[str, Skipped] = field(default_factory=dict)

    def skip(self, reason: str, name: str) -> None:
        """Counts a skipped file or folder."""
        skipped = self._skipped.get(reason)
        self._skipped[reason] = replace(skipped, n=skipped.n + 1) if skipped else Skipped(reason, 1, as_utf8(name))

    @property
    def skipped(self) -> list[Skipped]:
        """The skipped files and folders, sorted by reason."""
        return [self._skipped[reason] for reason in sorted(self._skipped)]

    def __str__(self) -> str:
        phrases = [f"{skipped.n} {skipped.reason}" for skipped in self.skipped]
        phrases += [f"{failure.path}: {failure.reason}" for failure in self.failures[:3]]
        return "; ".join(phrases)


def select(root: Path, *leave_out: Path) -> Selection:
    """Selects the files below a folder, recursively.

    Skips hidden and system files and folders, except `root` itself. Does not follow links to folders, which could form
    a loop.

    Args:
        root: The folder.
        leave_out: Files to ignore without counting them, such as the caption file.
    """
    selection = Selection(root)

    def unreadable(error: OSError) -> None:
        selection.failures.append(Failure(as_utf8(str(error.filename)), f"the folder can't be read: {error.strerror}"))

    left_out = {os.path.abspath(path) for path in leave_out}
    top = os.path.abspath(root)
    for parent, folders, files in os.walk(root, onerror=unreadable):
        below = os.path.relpath(parent, root)
        at = "" if below == "." else f"{below}/"
        folders[:] = sorted(_folders_to_search(selection, parent, at, folders))
        for name in sorted(files):
            if os.path.join(top, at, name) not in left_out:
                _add_file(selection, parent, at, name)
    selection.pictures.sort(key=lambda path: path.split("/"))
    return selection


def _folders_to_search(selection: Selection, parent: str, at: str, folders: list[str]) -> Iterator[str]:
    for name in folders:
        if os.path.islink(os.path.join(parent, name)):
            selection.skip("links to folders", at + name)
        elif system := _system_folder(name):
            selection.skip(f"system folders named {system}", at + name)
        elif name.startswith("."):
            selection.skip("hidden folders", at + name)
        else:
            yield name


def _system_folder(name: str) -> str:
    """The name of a system folder, `.Trash-1000` included; empty for any other folder."""
    folded = name.lower()
    kind = ".trash" if folded.startswith(".trash-") else folded
    return as_utf8(name) if kind in SYSTEM_FOLDERS else ""


def _add_file(selection: Selection, parent: str, at: str, name: str) -> None:
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith("._"):
        selection.skip("system files named ._*", at + name)
    elif name.lower() in SYSTEM_FILES:
        selection.skip(f"system files named {name}", at + name)
    elif name.startswith("."):
        selection.skip("hidden files", at + name)
    elif suffix == ".txt":
        selection.texts.append(at + name)
    elif suffix not in EXTENSIONS:
        selection.skip(
            f"files ending in {as_utf8(suffix)}" if suffix.strip(".") else "files without an extension", at + name
        )
    elif as_utf8(at + name) != at + name or as_utf8(parent) != parent:
        selection.failures.append(Failure(as_utf8(os.path.join(parent, name)), "its name is not UTF-8: rename it"))
    else:
        selection.pictures.append(at + name)
