"""The folders that pictures were indexed from, which tell a folder that was emptied from an unmounted disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from crossmodal.core.errors import StateError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason

FILE_NAME = "folders.json"


class FolderState(NamedTuple):
    """A folder that held pictures: its inode, which is another one while its disk is not mounted."""

    inode: int
    is_mount: bool

    @classmethod
    def of(cls, folder: str) -> FolderState | None:
        """The current state of a folder; None if it can't be checked."""
        try:
            return cls(os.stat(folder).st_ino, os.path.ismount(folder))
        except OSError:
            return None


FolderStates = Mapping[str, FolderState]
"""By absolute path."""


def folders_above(paths: Iterable[str]) -> set[str]:
    """All folders on the way to some absolute paths, without `/`."""
    found: set[str] = set()
    for path in paths:
        while (path := os.path.dirname(path)) not in found and path != "/":
            found.add(path)
    return found


def read_folders(collection: Path, source: str) -> dict[str, FolderState]:
    """The folders of a data set at the time when it was last indexed; without any if they are not recorded.

    Raises:
        StateError: The record can't be read; without it, pictures of an unmounted disk may count as gone.
    """
    return _read(collection).get(source, {})


def all_folders(collection: Path) -> dict[str, FolderState]:
    """The folders of all data sets of a collection; a mount point of one of them is one.

    Raises:
        StateError: As `read_folders`.
    """
    merged: dict[str, FolderState] = {}
    for folders in _read(collection).values():
        merged |= {
            folder: state
            for folder, state in folders.items()
            if state.is_mount or not merged.get(folder, state).is_mount
        }
    return merged


def copy_folders(collection: Path, other: Path) -> None:
    """Records the folders of a collection in another one, such as its next generation.

    Raises:
        OSError: They can't be written.
        StateError: As `read_folders`.
    """
    write_atomically(other / FILE_NAME, json.dumps(_read(collection)).encode())


def write_folders(collection: Path, source: str, folders: FolderStates) -> None:
    """Records the folders of a data set.

    Raises:
        OSError: They can't be written.
        StateError: The record of other data sets can't be read.
    """
    write_atomically(collection / FILE_NAME, json.dumps({**_read(collection), source: folders}).encode())


def _read(collection: Path) -> dict[str, dict[str, FolderState]]:
    path = collection / FILE_NAME
    try:
        by_source = json.loads(path.read_bytes())
        return {
            source: {folder: FolderState(*state) for folder, state in folders.items()}
            for source, folders in by_source.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        cause = reason(error, path) if isinstance(error, OSError) else f"it is damaged ({error})"
        raise StateError(
            f"{path} can't be read: {cause}. It records where disks were mounted; if it can't be restored, mount them "
            "all, remove it, and index again"
        ) from error
