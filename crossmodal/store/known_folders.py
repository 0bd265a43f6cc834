"""The folders that pictures were indexed from, which tell a folder that was emptied from an unmounted disk."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason

log = logging.getLogger(__name__)

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
    """The folders of a data set at the time when it was last indexed; without any if they are not recorded."""
    return {path: FolderState(*state) for path, state in _read(collection).get(source, {}).items()}


def write_folders(collection: Path, source: str, folders: FolderStates) -> None:
    """Records the folders of a data set; a failure is logged, and leaves the earlier ones."""
    path = collection / FILE_NAME
    try:
        write_atomically(path, json.dumps({**_read(collection), source: folders}).encode())
    except OSError as error:
        log.warning("the folders of this run were not written to %s: %s", path, reason(error, path))


def _read(collection: Path) -> dict[str, dict[str, tuple[int, bool]]]:
    path = collection / FILE_NAME
    try:
        by_source: dict[str, dict[str, tuple[int, bool]]] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s is written anew, since it can't be read: %s", path, error)
        return {}
    return by_source
