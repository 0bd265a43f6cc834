"""Moves a collection to a database, or from there to a folder, with its ids, keys and sequence numbers.

The copy is made beside the place under another name, while the collection is in use. Then, with the collection locked,
it catches up and takes its name. Until then no reader sees it; the collection that it is made from stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from crossmodal.collection.collection import Collection, collections
from crossmodal.collection.comparison import differences, states
from crossmodal.collection.generations import CURRENT, read_current
from crossmodal.collection.indexes import every_index
from crossmodal.collection.linked_workspace import linked_url
from crossmodal.collection.migration_target import Target, target_in
from crossmodal.collection.places import workspace_at
from crossmodal.collection.shared_state import SHARED, SharedState
from crossmodal.collection.store_ids import with_store_id
from crossmodal.core.errors import StateError
from crossmodal.core.os_errors import reason
from crossmodal.store.copying import mirror
from crossmodal.store.known_folders import copy_folders
from crossmodal.store.locks import check_writable
from crossmodal.store.protocol import Store


@dataclass(frozen=True)
class Migration:
    """The number of documents of a collection, and how many this run has written in all states."""

    documents: int
    copied: int


def migrate(source: Collection, place: str, progress: Callable[[int], None]) -> Migration:
    """Copies a collection with the state before its last `reindex`; an interrupted call is continued by the next.

    Args:
        source: The collection; other processes may change it until the copy catches up.
        place: postgresql://USER@HOST/DATABASE, or the path of a workspace, which is created if it does not exist.
        progress: Called with the number of further documents that are copied, or were there already.

    Raises:
        InputError: The URL is invalid, has a password, or the collection's name is too long for a database.
        StateError: The place has a collection of this name with other content; the database can't be reached or
            written to; there is not enough room; or another process writes to the collection at the end.
        NotWritableError: The collection can't be locked, because it is read-only.
    """
    if linked_url(source.root.parent) is None:
        check_writable(source.folder)  # for the lock at the end
    with workspace_at(place) as workspace:
        target = target_in(workspace, source.root.name)
        if target.is_taken():
            _check_equal(source, workspace, place, progress)
            copied = 0
        else:
            copied = _copy(source, target, progress)
        if linked_url(workspace) is None:
            _write_indexes(workspace / source.root.name)
    with source.store() as store:
        return Migration(sum(store.counts().values()), copied)


def _check_equal(source: Collection, workspace: Path, place: str, progress: Callable[[int], None]) -> None:
    """Checks that the collection is there already.

    Raises:
        StateError: Another one is.
    """
    name = source.root.name
    if name not in collections(workspace):
        raise StateError(f"{place} has something else with the name {name}: move it away, or choose another place")
    for problem in differences(source, Collection.open(workspace / name), progress):
        raise StateError(
            f"{place} has a collection {name} with other content ({problem.item}: {problem.reason}): choose another "
            f"place, or see what differs with `python app.py -t verify --against {place}`"
        )


def _copy(source: Collection, target: Target, progress: Callable[[int], None]) -> int:
    root = source.root
    names = read_current(root)
    if names.get("current", "") != source.generation:
        raise _overtaken(root)
    with target.staged() as (state, made):
        n_copied = 0
        *earlier, _ = states(source)
        for older in earlier:
            folder = made / older.generation
            with older.store(writable=True) as store, state.store(folder, writable=True) as copy:
                n_copied += mirror(store, copy, progress, is_closed=True)
                _copy_files(older.folder, store, state, folder, copy)
        if "" not in _generations(names):
            state.store(made, writable=True).close()  # a database has the names of the states in the first one
        folder = made / source.generation
        with source.store() as store, state.store(folder, writable=True) as copy:
            n_copied += mirror(store, copy, progress)
        with source.store(writable=True) as store, store.copying.locked() as check_lock:
            source.shared.pull()
            if read_current(root) != names:
                raise _overtaken(root)
            with state.store(folder, writable=True) as copy:
                n_copied += mirror(store, copy, lambda _: None)
                _copy_files(source.folder, store, state, folder, copy)
            if names:
                state.write(made, CURRENT, _read(root / CURRENT))
            check_lock()
            target.publish(_generations(names))
    return n_copied


def _overtaken(root: Path) -> StateError:
    return StateError(f"another state of {root} was made the current one meanwhile: run the command again")


def _generations(names: Mapping[str, str]) -> set[str]:
    return set(names.values()) or {""}


def _copy_files(source: Path, store: Store, state: SharedState, target: Path, copy: Store) -> None:
    """Copies the files beside a store; those that are computed from it are as good for the copy, and get its id."""
    for name in SHARED:
        if (source / name).exists():
            state.write(target, name, with_store_id(_read(source / name), copy.store_id(), replaced=store.store_id()))
    if target.is_dir():  # not with a database, whose nodes record the folders that they see themselves
        copy_folders(source, target)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StateError(f"{path} can't be read: {reason(error, path)}") from error


def _write_indexes(root: Path) -> None:
    collection = Collection.open(root)
    with collection.store(writable=True) as store:
        for index in every_index(collection, store).values():
            index.snapshot()
