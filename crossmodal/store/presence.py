"""Whether a file is still at its place. Only a look at that place counts as proof that it is gone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Presence:
    """What a look at a place showed.

    `there`: something has that name, readable or not. `gone`: the nearest folder above that still exists was listed
    and does not lead there. `unknown`: it could not be looked at, and `reason` says why. `container` is the file that
    stands where a folder of the path would have to be, such as the Parquet file of an embedded picture.
    """

    state: Literal["there", "gone", "unknown"]
    reason: str = ""
    container: str = ""


class Disk:
    """Looks at places; each folder is listed once, so one object sees the disk as it is at one time."""

    def __init__(self) -> None:
        self._listings: dict[str, frozenset[str] | str] = {}

    def look_at(self, path: str) -> Presence:
        """What is at an absolute path; symbolic links are not followed.

        A folder without any entry proves nothing: the mount point of a disk that is not mounted looks the same.
        """
        if not os.path.isabs(path):
            return Presence("unknown", f"{path!r} is no absolute path")
        try:
            os.lstat(path)
            return Presence("there")
        except (FileNotFoundError, NotADirectoryError):
            return self._look_above(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            return Presence("unknown", f"{path} can't be looked at: {_reason(error)}")

    def _look_above(self, path: str) -> Presence:
        name, folder = os.path.basename(path), os.path.dirname(path)
        while True:
            try:
                is_folder = os.path.isdir(folder) if os.lstat(folder) else False
                break
            except (FileNotFoundError, NotADirectoryError):
                name, folder = os.path.basename(folder), os.path.dirname(folder)
            except OSError as error:
                return Presence("unknown", f"{folder} can't be looked at: {_reason(error)}")
        if not is_folder:
            if os.path.isfile(folder):
                return Presence("gone", container=folder)
            return Presence("unknown", f"{folder} is neither a folder nor a file")
        names = self._listing(folder)
        if isinstance(names, str):
            return Presence("unknown", f"{folder} can't be listed: {names}")
        if not names:
            return Presence("unknown", f"{folder} is empty, as it is when its disk is not mounted")
        if name in names:
            return Presence("unknown", f"{folder} lists {name}, which can't be opened")
        return Presence("gone")

    def _listing(self, folder: str) -> frozenset[str] | str:
        """The names in a folder, or why it can't be listed."""
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except OSError as error:
                self._listings[folder] = _reason(error)
        return self._listings[folder]


def container_of(path: Path) -> Path | None:
    """The file that an embedded picture's path lies in, None where no part of the path is a file."""
    return next((parent for parent in path.parents if os.path.isfile(parent)), None)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
