"""What the nodes of a collection share: its store, and its small files such as the manifest.

A collection is a folder. By default the folder has the store, too. If the workspace is linked to a PostgreSQL database,
the store and the small files of each of its collections are there; the folder has copies of the files, and the indexes.
"""

from __future__ import annotations

import json
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
LINK = "store.json"
"""The file of a workspace that names its database."""


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


def link_workspace(workspace: Path, url: str) -> None:
    """Makes a workspace the local cache of a database; later calls with the same URL change nothing.

    Args:
        workspace: The folder of the collections, which is created if it does not exist.
        url: postgresql://USER@HOST/DATABASE, without a password.

    Raises:
        InputError: The URL is invalid, or has a password.
        StateError: The workspace has collections in SQLite, or another database; or psycopg is not installed.
    """
    from crossmodal.collection.postgresql_state import checked_url

    url = checked_url(url)
    if (linked := linked_url(workspace)) == url:
        return
    if linked is not None:
        raise StateError(f"{workspace} is the cache of {linked}, not of {url}: choose another with --workspace")
    if any(workspace.glob(f"*/{MANIFEST}")):
        raise StateError(f"{workspace} has collections in SQLite: choose another folder with --workspace")
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"{workspace} can't be created: {reason(error, workspace)}") from error
    write_file(workspace / LINK, json.dumps({"store": url}, indent=1).encode())


def linked_url(workspace: Path) -> str | None:
    """The URL of the database that a workspace is the cache of, None if it is no cache.

    Raises:
        StateError: The link can't be read.
    """
    path = workspace / LINK
    try:
        return str(json.loads(path.read_bytes())["store"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StateError(f"{path} can't be read: {reason(error, path)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path} is damaged ({error!r}): remove it, and give --store again") from error


def state_of(root: Path) -> SharedState:
    """The shared state of the collection with this folder.

    Raises:
        StateError: The workspace's link can't be read, or psycopg is not installed.
    """
    url = linked_url(root.parent)
    if url is None:
        return LocalState(root)
    from crossmodal.collection.postgresql_state import PostgresqlState

    return PostgresqlState(root, url)


def shared_names(workspace: Path) -> list[str]:
    """The names of the collections in the database of a linked workspace, in alphabetical order."""
    url = linked_url(workspace)
    assert url is not None
    from crossmodal.collection.postgresql_state import names

    return names(url)
