"""Checks whether files still exist; a file counts as gone only if its folder could be listed without it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crossmodal.store.known_folders import FolderState, FolderStates


@dataclass(frozen=True)
class Presence:
    """The result of checking a path.

    `there`: the path exists, readable or not. `gone`: the nearest existing folder above was listed without it.
    `unknown`: it could not be checked, for `reason`. `container` is a file in the place of a folder of the path, such
    as the Parquet file of an embedded picture.
    """

    state: Literal["there", "gone", "unknown"]
    reason: str = ""
    container: str = ""

    @property
    def is_gone(self) -> bool:
        """Whether there is certainly no such file; a picture in a container is known only when that is read."""
        return self.state == "gone" and not self.container


class Disk:
    """Checks paths; lists each folder once, so that all checks of one object see the same state.

    `folders` are the states of folders when pictures were indexed from them. A mount point among them that is none now
    proves nothing; an empty folder is a proof only if it is known to be the same folder.
    """

    def __init__(self, folders: FolderStates | None = None) -> None:
        self._listings: dict[str, frozenset[str] | str] = {}
        self._folders = folders or {}
        mounts = (path for path, state in self._folders.items() if state.is_mount)
        self._unmounted = [path for path in mounts if not os.path.ismount(path)]

    def look_at(self, path: str) -> Presence:
        """The presence of an absolute path; symbolic links are not followed.

        If the nearest folder is empty and not known, the result is `unknown`: it may be the mount point of an unmounted
        disk.
        """
        if not os.path.isabs(path):
            return Presence("unknown", f"{path!r} is not an absolute path")
        try:
            os.lstat(path)
            return Presence("there")
        except (FileNotFoundError, NotADirectoryError):
            return self._look_above(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            return Presence("unknown", f"{path} can't be checked: {_reason(error)}")

    def is_lost(self, path: str) -> bool:
        """Whether pictures were indexed from the folder of a path, and the file is certainly gone.

        Nothing is known of files that another machine indexed: the same path may not exist here.
        """
        return os.path.dirname(path) in self._folders and self.look_at(path).is_gone

    def _look_above(self, path: str) -> Presence:
        if mount := next((mount for mount in self._unmounted if path.startswith(f"{mount}/")), ""):
            return Presence("unknown", f"the disk of {mount} is not mounted")
        name, folder = os.path.basename(path), os.path.dirname(path)
        while True:
            try:
                is_folder = os.path.isdir(folder) if os.lstat(folder) else False
                break
            except (FileNotFoundError, NotADirectoryError):
                name, folder = os.path.basename(folder), os.path.dirname(folder)
            except OSError as error:
                return Presence("unknown", f"{folder} can't be checked: {_reason(error)}")
        if not is_folder:
            if os.path.isfile(folder):
                return Presence("gone", container=folder)
            return Presence("unknown", f"{folder} is neither a folder nor a file")
        names = self._listing(folder)
        if isinstance(names, str):
            return Presence("unknown", f"{folder} can't be listed: {names}")
        if not names and not self._is_known(folder):
            return Presence("unknown", f"{folder} is empty; its disk may not be mounted")
        if name in names:
            return Presence("unknown", f"{folder} lists {name}, which can't be opened")
        return Presence("gone")

    def _is_known(self, folder: str) -> bool:
        """Whether pictures were indexed from this very folder, and not from a disk that was mounted in its place."""
        state = FolderState.of(folder)
        return state is not None and state == self._folders.get(folder)

    def _listing(self, folder: str) -> frozenset[str] | str:
        """The names in a folder, or the reason why it can't be listed."""
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except OSError as error:
                self._listings[folder] = _reason(error)
        return self._listings[folder]


def container_of(path: Path) -> Path | None:
    """The file that contains an embedded picture, None if no parent of the path is a file."""
    return next((parent for parent in path.parents if os.path.isfile(parent)), None)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
