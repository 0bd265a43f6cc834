"""What the nodes of a collection share: its store, and its small files such as the manifest.

A collection is a folder. By default the folder has the store, too. If the workspace is linked to a PostgreSQL database
(`linked_workspace`), the store and the small files of each of its collections are there; the folder has copies of the
files, and the indexes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from crossmodal.collection.generations import (
    next_generation_name,
    read_current,
    remove_first,
    remove_generations,
    write_current,
)
from crossmodal.core.errors import StateError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason
from crossmodal.store.protocol import Store
from crossmodal.store.sqlite import DocumentStore

MANIFEST, CALIBRATION, MAP, HASHES = "manifest.json", "relevance.npz", "map.npz", "hashes.npz"
SHARED = (MANIFEST, CALIBRATION, MAP, HASHES)


class SharedState(Protocol):
    """The store and the shared files of one collection."""

    def pull(self) -> None:
        """Brings the copies in the folder up to date.

        Raises:
            StateError: The database can't be read, or the folder can't be written to.
        """
        ...

    def follow(self) -> None:
        """Calls `pull` in the background if the last time was a second ago; for services, before each request."""
        ...

    def create(self, folder: Path, manifest: bytes) -> None:
        """Creates a generation; leaves the manifest of one that another node has created in the meantime.

        Args:
            folder: The folder of the generation, which exists.
            manifest: The content of its manifest.

        Raises:
            StateError: The manifest can't be written.
        """
        ...

    def write(self, folder: Path, name: str, content: bytes) -> None:
        """Replaces one of the files `SHARED` of a generation, for all nodes.

        Args:
            folder: The folder of the generation.
            name: The name of the file.
            content: The new content.

        Raises:
            StateError: The file can't be written.
        """
        ...

    def store(self, folder: Path, *, writable: bool) -> Store:
        """Opens the store of the generation with this folder."""
        ...

    def add_generation(self, current: Path) -> Path:
        """The folder for a new generation, which is made from the current one; removes interrupted attempts.

        Raises:
            StateError: `current` is no longer the current one.
        """
        ...

    def make_current(self, current: Path, previous: Path) -> None:
        """Replaces the current generation for all nodes, and removes all but these two.

        Args:
            current: The folder of the next current generation.
            previous: The folder of the generation that is current now.

        Raises:
            StateError: `previous` is no longer current, or its documents have changed since `current` was added.
        """
        ...


class LocalState:
    """A collection whose folder is all there is of it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def pull(self) -> None:
        """As `SharedState.pull`: there is nothing to copy."""

    def follow(self) -> None:
        """As `SharedState.follow`: there is nothing to copy."""

    def create(self, folder: Path, manifest: bytes) -> None:
        """As `SharedState.create`."""
        self.write(folder, MANIFEST, manifest)

    def write(self, folder: Path, name: str, content: bytes) -> None:
        """As `SharedState.write`."""
        write_file(folder / name, content)

    def store(self, folder: Path, *, writable: bool) -> Store:
        """As `SharedState.store`."""
        return DocumentStore(folder, writable=writable)

    def add_generation(self, current: Path) -> Path:
        """As `SharedState.add_generation`."""
        names = read_current(self._root)
        if self._root / names.get("current", "") != current:
            raise StateError(f"another process has made another state of {self._root} the current one: start again")
        name = next_generation_name(self._root)
        remove_generations(self._root, names.values())
        return self._root / name

    def make_current(self, current: Path, previous: Path) -> None:
        """As `SharedState.make_current`."""
        write_current(self._root, current, previous)
        remove_generations(self._root, {current.name, previous.name})
        if self._root not in (current, previous):
            remove_first(self._root)


def write_file(path: Path, content: bytes) -> None:
    """Writes a file atomically.

    Raises:
        StateError: It can't be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise StateError(f"{path} can't be written: {reason(error, path)}") from error
