"""The base of all indexes of the store: opens a snapshot, replays later commits, writes the next snapshot."""

from __future__ import annotations

import json
import logging
import os
import threading
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from crossmodal.core.errors import StateError
from crossmodal.core.files import checksum, signature, write_atomically
from crossmodal.core.os_errors import reason
from crossmodal.core.types import Keys, Modality
from crossmodal.index.snapshot_pointer import SnapshotPointer
from crossmodal.store.protocol import Store
from crossmodal.store.records import StoreChanges

log = logging.getLogger(__name__)

MAX_REPLAYED = 20_000
"""Number of changes after which a large index is written again; replaying them takes 0.2 s."""
MAX_DEAD = 0.2
"""Share of removed rows above which the next snapshot is built without them."""
REOPENED_FROM = 0.05
"""Share of changes above which a process opens the snapshot that another process has written."""
FORMAT = 3
"""Format 2 had a FAISS file for `flat`; the other kinds are the same."""


class Replicable(Protocol):
    """An index whose rows have the keys of documents in the store."""

    def __len__(self) -> int: ...

    @property
    def n_tail(self) -> int:
        """Rows added since the index was last written."""
        ...

    @property
    def n_dead(self) -> int:
        """Removed rows that still take memory."""
        ...

    def remove(self, keys: Keys) -> int:
        """Removes the rows with these keys; returns how many were in the index."""
        ...

    def save(self, folder: Path, stem: str) -> list[str]:
        """Writes the index; returns the names of its files."""
        ...


I = TypeVar("I", bound=Replicable)  # noqa: E741


class StoreReplica(ABC, Generic[I]):
    """An index of one modality of a collection, synchronised with the store.

    The store is authoritative, and the index can be rebuilt from it. A snapshot is a set of immutable index files and a
    small JSON file, the pointer, with their names, their checksums and the last sequence number they contain. Renaming
    the pointer into place commits the snapshot.
    """

    index: I
    last_seq: int
    epoch: int

    def __init__(self, store: Store, modality: Modality, folder: Path, name: str) -> None:
        """Opens the snapshot, if there is a valid one, and replays later commits.

        Args:
            store: The store of the collection.
            modality: The modality of the indexed documents.
            folder: The folder of the snapshots.
            name: Prefix of the file names.
        """
        self.store, self.modality, self.folder = store, modality, folder
        self.opening_problem = ""
        self.pointer = folder / f"{name}.json"
        self._lock = threading.Lock()
        self._seen_version: tuple[int, int] | None = None
        self._seen_pointer: tuple[int, int] | None = None
        self._open_snapshot()
        self.refresh()

    def __len__(self) -> int:
        return len(self.index)

    @property
    def n_unsaved(self) -> int:
        """Number of documents added and removed since the snapshot."""
        return self._n_unsaved

    def refresh(self) -> int:
        """Applies later commits; returns the number of added and removed documents.

        Takes microseconds if there are none.
        """
        version = self.store.data_version()
        if version == self._seen_version:
            return 0
        with self._lock:
            if self._is_overtaken():
                self._open_snapshot()
            n_changes = self._catch_up()
            self._seen_version = version
        return n_changes

    @abstractmethod
    def description(self) -> tuple[str, str]:
        """The kind of the index, and the reason for the kind or a summary of the content."""

    def snapshot(self) -> bool:
        """Writes a snapshot if enough has changed since the last one; returns whether it did.

        Changes after the last snapshot are replayed on opening.
        """
        with self._lock:
            is_other_kind = self._is_other_kind()
            is_enough = self._n_unsaved >= max(1, min(MAX_REPLAYED, len(self.index) // 10))
            if not is_enough and not is_other_kind:
                return False
            self._write(compact=is_other_kind or self.index.n_dead > MAX_DEAD * len(self.index))
            return True

    def compact(self) -> None:
        """Builds the index again without removed rows, and writes it."""
        self.refresh()
        with self._lock:
            self._write(compact=True)

    def rebuild(self) -> None:
        """Builds the index again from the store, and writes it."""
        with self._lock:
            self.index, self.last_seq, self._seen_version = self._empty(), 0, None
            self._catch_up()
            self._write(compact=True)

    # -- for subclasses

    @abstractmethod
    def _empty(self) -> I:
        """An index without rows."""

    @abstractmethod
    def _add(self, changes: StoreChanges) -> int:
        """Adds the new documents of `changes` that belong to this index; returns how many."""

    @abstractmethod
    def _index_to_write(self, *, compact: bool) -> I:
        """An index to write, without a tail; without removed rows if `compact`."""

    @abstractmethod
    def _load_index(self, stem: str) -> I:
        """Opens the files of a snapshot.

        Raises:
            StateError: The files are damaged, or don't belong together.
        """

    @abstractmethod
    def _identity(self) -> dict[str, Any]:
        """Entries of the pointer that must be the same in a snapshot to open it."""

    def _kind_entries(self, index: I) -> dict[str, str]:
        """The entries of the pointer about the kind of index."""
        return {"kind": "inverted"}

    def _changes(self, forgotten: int) -> StoreChanges | None:
        """The next changes after `last_seq`; None if the index must start over."""
        return self.store.changes_after(self.modality, self.last_seq, forgotten=forgotten, epoch=self.epoch)

    def _is_other_kind(self) -> bool:
        """Whether the next snapshot needs another kind of index than the last."""
        return False

    # -- snapshots

    def _catch_up(self) -> int:
        n_changes = forgotten = known = known_epoch = 0
        while True:
            changes = self._changes(forgotten)
            if changes is None:
                known, known_epoch = self.last_seq, self.epoch
                self.index, self.last_seq = self._empty(), 0
                continue
            if known:
                self._name_loss(known, changes.epoch != known_epoch)
                known = 0
            forgotten, self.epoch = changes.forgotten, changes.epoch
            n_changes += self._add(changes) + self.index.remove(changes.removed)
            self.last_seq = changes.last_seq
            if changes.is_all:
                self._n_unsaved += n_changes
                return n_changes

    def _name_loss(self, known: int, is_promoted: bool) -> None:
        """Logs which changes up to the number `known` the store no longer has, if it has lost any."""
        last = self.store.last_seq()
        if last < known:
            lost = f"has lost {known - last} changes, those with the numbers {last + 1} to {known}"
        elif is_promoted:
            lost = f"may have lost changes up to the number {known}"
        else:
            return  # removals since `known` are no longer recorded
        log.warning(
            "%s %s: a standby that lacks them was promoted, or is read. The index of the modality %s starts over; "
            "index the newest documents again", self.store.name, lost, self.modality,
        )  # fmt: skip

    def _is_overtaken(self) -> bool:
        """Whether this index is far behind a snapshot that another process has written."""
        behind = self.index.n_tail + self.index.n_dead
        return behind > REOPENED_FROM * len(self.index) and signature(self.pointer) != self._seen_pointer

    def _write(self, *, compact: bool) -> None:
        index = self._index_to_write(compact=compact)
        stem = f"{self.pointer.stem}-{self.last_seq}-{os.urandom(3).hex()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            names = index.save(self.folder, stem)
            pointer = {
                "format": FORMAT,
                "stem": stem,
                "files": {name: checksum(self.folder / name) for name in names},
                **self._kind_entries(index),
                **self._identity(),
                "store_id": self.store.store_id(),
                "last_seq": self.last_seq,
                "epoch": self.epoch,
                "count": len(index),
            }
            write_atomically(self.pointer, json.dumps(pointer, indent=1).encode())
        except (OSError, RuntimeError) as error:  # FAISS raises RuntimeError for a file that it can't write
            for path in self.folder.glob(f"*{stem}*"):
                path.unlink(missing_ok=True)
            raise StateError(
                f"the index could not be written to {self.folder}: {_cause(error, self.folder)}. Then run "
                "`python app.py -t rebuild`; no document is lost, and the last snapshot is still used"
            ) from error
        self._open_snapshot()
        for old in self.folder.glob(f"*{self.pointer.stem}-*"):
            if stem not in old.name and old != self.pointer:
                old.unlink(missing_ok=True)

    def _open_snapshot(self) -> None:
        """Sets `index` and `last_seq` from the snapshot, or to an empty index if it is missing or damaged.

        The next `refresh` replays later commits: the snapshot may be an older one of another process.
        """
        self.index, self.last_seq, self.epoch = self._empty(), 0, 0
        self._n_unsaved, self._built_for, self._seen_version = 0, "", None
        while (current := signature(self.pointer)) != self._seen_pointer:
            self._seen_pointer = current
            try:
                pointer = SnapshotPointer.read(self.pointer)
                self.index, self.last_seq = self._load(pointer), pointer.last_seq
                self.epoch = int(pointer.content.get("epoch", 0))
                self._built_for = str(pointer.content.get("built_for", ""))
            except (StateError, OSError) as error:  # a TypeError or KeyError would be a bug
                # Another process may have written a newer snapshot in the meantime.
                if signature(self.pointer) == current:
                    self.opening_problem = str(error)
                    log.warning("the snapshot is not usable, so the index is rebuilt from the store: %s", error)

    def _load(self, pointer: SnapshotPointer) -> I:
        name = self.pointer.name
        if pointer.format not in (2, FORMAT) or (pointer.format, pointer.content.get("kind")) == (2, "flat"):
            raise StateError(f"{name} has format {pointer.format}, of another version of this program")
        is_same = all(pointer.content.get(entry) == value for entry, value in self._identity().items())
        if pointer.store_id != self.store.store_id() or not is_same:
            raise StateError(f"{name} does not match this store and its model")
        if not 0 <= pointer.last_seq <= self.store.last_seq():
            raise StateError(f"{name} has sequence number {pointer.last_seq}, the store {self.store.last_seq()}")
        with ThreadPoolExecutor() as threads:
            paths = [self.folder / file for file in pointer.files]
            for path, actual in zip(paths, threads.map(checksum, paths), strict=True):
                if actual != pointer.files[path.name]:
                    raise StateError(f"{path} does not have the checksum in {name}")
        index = self._load_index(pointer.stem)
        if len(index) != pointer.count:
            raise StateError(f"{name} has the count {pointer.count}, but the index has {len(index)} rows")
        return index


def _cause(error: OSError | RuntimeError, folder: Path) -> str:
    return reason(error, folder) if isinstance(error, OSError) else f"{error}; free some space"
