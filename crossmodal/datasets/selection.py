"""Selection of a folder's pictures and possible caption files; all other files are counted by reason."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from crossmodal.core.errors import InputError
from crossmodal.core.types import Failure, Skipped
from crossmodal.datasets.ignore import IGNORE_FILE, IgnoreRules
from crossmodal.datasets.text import as_utf8
from crossmodal.images.decode import EXTENSIONS

SYSTEM_FOLDERS = frozenset({
    "@eadir", "@recycle", "@recently-snapshot", "@tmp", "@thumb", "#recycle", "#snapshot", "$recycle.bin", "recycler",
    "system volume information", "lost+found", "__macosx",
    ".thumbnails", ".trash", ".trashes", ".picasaoriginals", ".spotlight-v100", ".fseventsd", ".@__thumb",
    ".cache", ".git",
})  # fmt: skip
"""Folders in which NAS, desktops and archives keep thumbnails, deleted files and metadata; in lower case."""

Progress = Callable[[int], None]

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
    _excluded: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def skip(self, reason: str, name: str, *excluded: str) -> None:
        """Counts a skipped file or folder; `excluded` is its absolute path if a rule of the user leaves it out."""
        skipped = self._skipped.setdefault(reason, Skipped(reason, 0, as_utf8(name)))
        self._skipped[reason] = replace(skipped, n=skipped.n + 1)
        self._excluded[reason] += excluded

    @property
    def skipped(self) -> list[Skipped]:
        """The skipped files and folders, sorted by reason."""
        return [replace(self._skipped[r], excluded=tuple(self._excluded[r])) for r in sorted(self._skipped)]

    def __str__(self) -> str:
        phrases = [f"{skipped.n} {skipped.reason}" for skipped in self.skipped]
        phrases += [f"{failure.path}: {failure.reason}" for failure in self.failures[:3]]
        return "; ".join(phrases)


def select(
    root: Path, *leave_out: Path, rules: IgnoreRules | None = None, progress: Progress = lambda _: None
) -> Selection:
    """Selects the files below a folder, recursively.

    Skips hidden and system files and folders, except `root` itself, and what rules leave out. Does not follow links to
    folders, which could form a loop. A folder whose rules can't be read is a failure, as one that can't be listed is.

    Args:
        root: The folder.
        leave_out: Files to ignore without counting them, such as the caption file.
        rules: The rules of a folder that is or contains `root`; those of `root` by default.
        progress: Called with the number of pictures so far, after each file.
    """
    selection = Selection(root)

    def unreadable(error: OSError) -> None:
        selection.failures.append(Failure(as_utf8(str(error.filename)), f"the folder can't be read: {error.strerror}"))

    left_out = {os.path.abspath(path) for path in leave_out}
    top, rules = os.path.abspath(root), rules or IgnoreRules(root)
    for parent, folders, files in os.walk(root, onerror=unreadable):
        below = os.path.relpath(parent, root)
        at = "" if below == "." else f"{below}/"
        folder = os.path.join(top, at).rstrip("/")
        try:
            rules.enter(folder)
        except InputError as error:
            selection.failures.append(Failure(as_utf8(parent), f"the folder was not searched: {error}"))
            folders.clear()
            continue
        folders[:] = sorted(_included(_folders_to_search(selection, parent, at, folders), selection, rules, folder, at))
        others = (name for name in sorted(files) if f"{folder}/{name}" not in left_out and name != IGNORE_FILE)
        for name in _included(others, selection, rules, folder, at, is_folder=False):
            _add_file(selection, parent, at, name)
            progress(len(selection.pictures))
    selection.pictures.sort(key=lambda path: path.split("/"))
    return selection


def _included(
    names: Iterable[str], selection: Selection, rules: IgnoreRules, folder: str, at: str, *, is_folder: bool = True
) -> Iterator[str]:
    """The entries of a folder that no rule leaves out; counts the others."""
    for name in names:
        if source := rules.left_out_by(folder, name, is_folder=is_folder):
            kind = "folders" if is_folder else "files"
            excluded = [] if _is_linked_inside(f"{folder}/{name}", selection.root) else [f"{folder}/{name}"]
            selection.skip(f"{kind} left out by {source}", at + name, *excluded)
        else:
            yield name


def _is_linked_inside(path: str, root: Path) -> bool:
    """Whether a path is a link to a file below a folder; leaving out the link does not leave out that file."""
    return os.path.islink(path) and os.path.realpath(path).startswith(f"{os.path.realpath(root)}/")


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


def is_left_out(name: str) -> bool:
    """Whether files and folders of a name are left out as hidden or as the system's."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES or bool(_system_folder(name))


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
