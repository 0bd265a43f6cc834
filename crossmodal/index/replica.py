"""What every index that follows the store does: opened from a snapshot, caught up, kept up, written again."""

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
from crossmodal.store.sqlite import DocumentStore, StoreChanges

log = logging.getLogger(__name__)

REPLAYED_AT_MOST = 20_000
"""So many changes are left to be replayed on opening, a fifth of a second, before a large index is written anew."""
DEAD_AT_MOST = 0.2
"""Share of removed vectors in an index that a snapshot carries along; beyond it, they are left out of the next."""
REOPENED_FROM = 0.05
"""Share of changes beyond which a process that serves takes over the snapshot that another has written."""
FORMAT = 3
"""2 kept `flat` in a file of FAISS; the other kinds are the same."""


class Replicable(Protocol):
    """An index under keys of the store."""

    def __len__(self) -> int: ...

    @property
    def n_tail(self) -> int:
        """Rows that came since it was last written."""
        ...

    @property
    def n_dead(self) -> int:
        """Removed rows that still take room."""
        ...

    def remove(self, keys: Keys) -> int:
        """Removes what is there of these keys; returns how many that were."""
        ...

    def save(self, folder: Path, stem: str) -> list[str]:
        """Writes it; returns the names of its files."""
        ...


I = TypeVar("I", bound=Replicable)  # noqa: E741


class StoreReplica(ABC, Generic[I]):
    """An index of one modality of a collection, as it is in the store.

    A snapshot is a set of index files that are never changed, and a small JSON that names them, their checksums
    and the last sequence number in them. The JSON is renamed into place last: it is the commit.
    """

    index: I
    last_seq: int

    def __init__(self, store: DocumentStore, modality: Modality, folder: Path, name: str) -> None:
        """Opens the snapshot if there is a good one, and replays what the store has beyond it.

        Args:
            store: The store of the collection.
            modality: Which of its documents.
            folder: Where snapshots are kept.
            name: What its files begin with.
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
        """How many documents came and went since the snapshot."""
        return self._n_unsaved

    def refresh(self) -> int:
        """Takes in what was committed since; cheap where nothing was. Returns how many documents came and went."""
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
        """What kind of index it is, and why, or what is in it."""

    def snapshot(self) -> bool:
        """Writes a snapshot where there is enough new since the last; returns whether it did.

        What a snapshot of a large index leaves out is replayed on opening.
        """
        with self._lock:
            is_other_kind = self._is_other_kind()
            is_enough = self._n_unsaved >= max(1, min(REPLAYED_AT_MOST, len(self.index) // 10))
            if not is_enough and not is_other_kind:
                return False
            self._write(compact=is_other_kind or self.index.n_dead > DEAD_AT_MOST * len(self.index))
            return True

    def compact(self) -> None:
        """Builds the index anew from what it has, and writes it."""
        self.refresh()
        with self._lock:
            self._write(compact=True)

    def rebuild(self) -> None:
        """Builds the index anew from the store, and writes it."""
        with self._lock:
            self.index, self.last_seq = self._empty(), 0
            self._catch_up()
            self._write(compact=True)

    # -- what a kind of index has of its own

    @abstractmethod
    def _empty(self) -> I:
        """An index without rows."""

    @abstractmethod
    def _add(self, changes: StoreChanges) -> int:
        """Takes in what was added; returns how many that were."""

    @abstractmethod
    def _to_write(self, *, compact: bool) -> I:
        """The index as it is to be written, without a tail."""

    @abstractmethod
    def _load_index(self, stem: str) -> I:
        """Opens the files of a snapshot; raises StateError where that can't be done."""

    @abstractmethod
    def _told(self, index: I) -> dict[str, Any]:
        """What the pointer of a snapshot says beyond what all say."""

    @abstractmethod
    def _fits(self, pointer: dict[str, Any]) -> bool:
        """Whether a pointer is of an index like this one."""

    def _changes(self, forgotten: int) -> StoreChanges | None:
        """What the store has beyond `last_seq`."""
        return self.store.changes_after(self.modality, self.last_seq, forgotten=forgotten)

    def _is_other_kind(self) -> bool:
        """Whether the next snapshot is to be of another kind than the last."""
        return False

    # -- inside

    def _catch_up(self) -> int:
        n_changes = forgotten = 0
        while True:
            changes = self._changes(forgotten)
            if changes is None:
                self.index, self.last_seq = self._empty(), 0
                continue
            forgotten = changes.forgotten
            n_changes += self._add(changes) + self.index.remove(changes.removed)
            self.last_seq = changes.last_seq
            if changes.is_all:
                self._n_unsaved += n_changes
                return n_changes

    def _is_overtaken(self) -> bool:
        """Whether another process has written a snapshot that is worth taking over."""
        behind = self.index.n_tail + self.index.n_dead
        return behind > REOPENED_FROM * len(self.index) and signature(self.pointer) != self._seen_pointer

    def _write(self, *, compact: bool) -> None:
        index = self._to_write(compact=compact)
        stem = f"{self.pointer.stem}-{self.last_seq}-{os.urandom(3).hex()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            names = index.save(self.folder, stem)
            pointer = {
                "format": FORMAT,
                "stem": stem,
                "files": {name: checksum(self.folder / name) for name in names},
                **self._told(index),
                "store_id": self.store.store_id(),
                "last_seq": self.last_seq,
                "count": len(index),
            }
            write_atomically(self.pointer, json.dumps(pointer, indent=1).encode())
        except (OSError, RuntimeError) as error:  # the second is FAISS's word for a file it could not write
            for path in self.folder.glob(f"*{stem}*"):
                path.unlink(missing_ok=True)
            raise StateError(
                f"the index could not be written to {self.folder}: {_why(error, self.folder)}. Then run "
                "`python app.py -t rebuild`; no document is lost, and the last snapshot is still used"
            ) from error
        self._open_snapshot()
        for old in self.folder.glob(f"*{self.pointer.stem}-*"):
            if stem not in old.name and old != self.pointer:
                old.unlink(missing_ok=True)

    def _open_snapshot(self) -> None:
        """Sets `index` and `last_seq` from the snapshot, or to nothing where there is none that is good."""
        self.index, self.last_seq, self._n_unsaved, self._built_for = self._empty(), 0, 0, ""
        while (found := signature(self.pointer)) != self._seen_pointer:
            self._seen_pointer = found
            try:
                pointer = json.loads(self.pointer.read_bytes())
                self.index, self.last_seq = self._load(pointer)
                self._built_for = str(pointer.get("built_for", ""))
            except (StateError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                # Another process may have put a newer one into its place in the meantime.
                if signature(self.pointer) == found:
                    self.opening_problem = str(error)
                    log.warning("the snapshot is not usable and is made again from the store: %s", error)

    def _load(self, pointer: dict[str, Any]) -> tuple[I, int]:
        if pointer["format"] not in (2, FORMAT) or (pointer["format"], pointer.get("kind")) == (2, "flat"):
            raise StateError(f"{self.pointer.name} has format {pointer['format']}, of another version of this program")
        if pointer["store_id"] != self.store.store_id() or not self._fits(pointer):
            raise StateError(f"{self.pointer.name} is not of this store")
        if int(pointer["last_seq"]) > self.store.last_seq():
            raise StateError(f"{self.pointer.name} knows more than the store")
        with ThreadPoolExecutor() as threads:
            paths = [self.folder / name for name in pointer["files"]]
            for path, found in zip(paths, threads.map(checksum, paths), strict=True):
                if found != pointer["files"][path.name]:
                    raise StateError(f"{path} does not have the checksum that {self.pointer.name} gives")
        index = self._load_index(pointer["stem"])
        if len(index) != pointer["count"]:
            raise StateError(f"{self.pointer.name} counts {pointer['count']} vectors, there are {len(index)}")
        return index, int(pointer["last_seq"])


def _why(error: OSError | RuntimeError, folder: Path) -> str:
    return reason(error, folder) if isinstance(error, OSError) else f"{error}; free some space"
