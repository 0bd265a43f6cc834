"""An index that follows the store: opened from a snapshot, caught up, and kept up while it serves."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import StateError
from crossmodal.core.types import Keys, Modality, Vectors
from crossmodal.index.dense import DenseIndex
from crossmodal.store.sqlite import DocumentStore

log = logging.getLogger(__name__)


class FollowingIndex:
    """The vectors of one modality of a collection, as they are in the store.

    A snapshot is an index file that is never changed, and a small JSON that names it, its checksum and
    the last sequence number in it. The JSON is renamed into place last: it is the commit.
    """

    def __init__(
        self, store: DocumentStore, modality: Modality, folder: Path, dim: int, shard: int = 0, n_shards: int = 1
    ) -> None:
        """Opens the snapshot if there is a good one, and replays what the store has beyond it.

        Args:
            store: The store of the collection.
            modality: Which of its vectors.
            folder: Where snapshots are kept.
            dim: Length of a vector.
            shard: With `n_shards`: this index holds the keys with `key % n_shards == shard`.
            n_shards: How many indexes share the vectors.
        """
        self.store, self.modality, self.folder, self.dim = store, modality, folder, dim
        self.shard, self.n_shards = shard, n_shards
        self.pointer = folder / f"{modality}-{shard}-of-{n_shards}.json"
        self._lock = threading.Lock()
        self._seen_version = -1
        self.index, self.last_seq = self._open_snapshot()
        self._snapshot_seq = self.last_seq
        self.refresh()

    def __len__(self) -> int:
        return len(self.index)

    def refresh(self) -> int:
        """Takes in what was committed since; cheap where nothing was. Returns how many vectors came."""
        version = self.store.data_version()
        if version == self._seen_version:
            return 0
        added = 0
        with self._lock:
            while True:
                keys, vectors, seq = self.store.vectors_after(self.modality, self.last_seq)
                if seq == self.last_seq:
                    break
                mine = keys % self.n_shards == self.shard
                if mine.any():
                    self.index.add(keys[mine], vectors[mine])
                self.last_seq = seq
                added += int(mine.sum())
        self._seen_version = version
        return added

    def search(self, queries: Vectors, k: int) -> tuple[NDArray[np.float32], Keys]:
        """The k best of everything committed until now; as `DenseIndex.search`."""
        self.refresh()
        with self._lock:
            return self.index.search(queries, k)

    def snapshot(self) -> bool:
        """Writes a snapshot if there is anything new since the last; returns whether it did."""
        with self._lock:
            if self.last_seq == self._snapshot_seq:
                return False
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{self.pointer.stem}-{self.last_seq}.faiss"
            self.index.save(path)
            pointer = {
                "file": path.name,
                "sha256": _sha256(path),
                "store_id": self.store.store_id(),
                "last_seq": self.last_seq,
                "count": len(self.index),
                "dim": self.dim,
            }
            write_atomically(self.pointer, json.dumps(pointer, indent=1).encode())
            self._snapshot_seq = self.last_seq
            for old in self.folder.glob(f"{self.pointer.stem}-*.faiss"):
                if old != path:
                    old.unlink(missing_ok=True)
            return True

    def _open_snapshot(self) -> tuple[DenseIndex, int]:
        if not self.pointer.exists():
            return DenseIndex(self.dim), 0
        try:
            pointer = json.loads(self.pointer.read_bytes())
            path = self.folder / pointer["file"]
            if _sha256(path) != pointer["sha256"]:
                raise StateError(f"{path} does not have the checksum {self.pointer.name} gives")
            index = DenseIndex.load(path)
            if index.dim != self.dim or pointer["store_id"] != self.store.store_id():
                raise StateError(f"{path} is not of this store")
            return index, int(pointer["last_seq"])
        except (StateError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the snapshot is not usable and is made again from the store: %s", error)
            return DenseIndex(self.dim), 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that after a crash there is the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
