"""An index that follows the store: opened from a snapshot, caught up, and kept up while it serves."""

from __future__ import annotations

import json
import logging
import os
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import StateError
from crossmodal.core.types import Keys, Modality, Vectors
from crossmodal.index.choice import Choice
from crossmodal.index.dense import DenseIndex
from crossmodal.index.wanted import Wanted
from crossmodal.store.sqlite import DocumentStore

log = logging.getLogger(__name__)

REPLAYED_AT_MOST = 20_000
"""So many changes are left to be replayed on opening, a fifth of a second, before a large index is written anew."""
DEAD_AT_MOST = 0.2
"""Share of removed vectors in an index that a snapshot carries along; beyond it, they are left out of the next."""
REOPENED_FROM = 0.05
"""Share of changes beyond which a process that serves takes over the snapshot that another has written."""


class FollowingIndex:
    """The vectors of one modality of a collection, as they are in the store.

    A snapshot is a set of index files that are never changed, and a small JSON that names them, their checksums
    and the last sequence number in them. The JSON is renamed into place last: it is the commit.
    """

    def __init__(
        self,
        store: DocumentStore,
        modality: Modality,
        folder: Path,
        dim: int,
        shard: int = 0,
        n_shards: int = 1,
        wanted: Wanted | None = None,
    ) -> None:
        """Opens the snapshot if there is a good one, and replays what the store has beyond it.

        Args:
            store: The store of the collection.
            modality: Which of its vectors.
            folder: Where snapshots are kept.
            dim: Length of a vector.
            shard: With `n_shards`: this index holds the keys with `key % n_shards == shard`.
            n_shards: How many indexes share the vectors.
            wanted: What the next snapshot is to be like; by default chosen by count.
        """
        self.store, self.modality, self.folder, self.dim = store, modality, folder, dim
        self.shard, self.n_shards = shard, n_shards
        self.wanted = wanted or Wanted()
        self.opening_problem = ""
        self.pointer = folder / f"{modality}-{shard}-of-{n_shards}.json"
        self._lock = threading.Lock()
        self._seen_version: tuple[int, int] | None = None
        self._seen_pointer: tuple[int, int] | None = None
        self._open_snapshot()
        self.refresh()

    def __len__(self) -> int:
        return len(self.index)

    @property
    def n_unsaved(self) -> int:
        """How many vectors came and went since the snapshot."""
        return self._n_unsaved

    def refresh(self) -> int:
        """Takes in what was committed since; cheap where nothing was. Returns how many vectors came and went."""
        version = self.store.data_version()
        if version == self._seen_version:
            return 0
        with self._lock:
            if self._is_overtaken():
                self._open_snapshot()
            n_changes = self._catch_up()
        self._seen_version = version
        return n_changes

    def search(self, queries: Vectors, k: int, allowed: Keys | None = None) -> tuple[NDArray[np.float32], Keys]:
        """The k best of everything committed until now; as `DenseIndex.search`."""
        self.refresh()
        with self._lock:
            return self.index.search(queries, k, allowed)

    def choice(self) -> Choice:
        """What the index would be built as now, and why."""
        return self.wanted.choice(len(self.index), self.dim)

    def snapshot(self) -> bool:
        """Writes a snapshot where there is enough new since the last; returns whether it did.

        What a snapshot of a large index leaves out is replayed on opening.
        """
        with self._lock:
            is_other_kind = self._built_for not in ("", str(self.choice().kind)) and len(self.index) > 0
            is_enough = self._n_unsaved >= max(1, min(REPLAYED_AT_MOST, len(self.index) // 10))
            if not is_enough and not is_other_kind:
                return False
            self._write(compact=is_other_kind or self.index.n_dead > DEAD_AT_MOST * len(self.index))
            return True

    def compact(self) -> None:
        """Builds the index anew from the vectors it has, and writes it."""
        self.refresh()
        with self._lock:
            self._write(compact=True)

    def rebuild(self) -> None:
        """Builds the index anew from the store, and writes it."""
        with self._lock:
            self.index, self.last_seq = DenseIndex(self.dim), 0
            self._catch_up()
            self._write(compact=True)

    # -- inside

    def _catch_up(self) -> int:
        n_changes = forgotten = 0
        while True:
            changes = self.store.changes_after(self.modality, self.last_seq, forgotten=forgotten)
            if changes is None:
                self.index, self.last_seq = DenseIndex(self.dim), 0
                continue
            forgotten = changes.forgotten
            mine = changes.added % self.n_shards == self.shard
            if mine.any():
                self.index.add(changes.added[mine], changes.vectors[mine])
            n_changes += int(mine.sum()) + self.index.remove(changes.removed)
            self.last_seq = changes.last_seq
            if changes.is_all:
                self._n_unsaved += n_changes
                return n_changes

    def _is_overtaken(self) -> bool:
        """Whether another process has written a snapshot that is worth taking over."""
        behind = self.index.n_tail + self.index.n_dead
        return behind > REOPENED_FROM * len(self.index) and _signature(self.pointer) != self._seen_pointer

    def _write(self, *, compact: bool) -> None:
        kind = self.choice().kind
        index = self.index.frozen(kind) if compact or not self._built_for else self.index.extended()
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = f"{self.pointer.stem}-{self.last_seq}-{os.urandom(3).hex()}"
        try:
            names = index.save(self.folder, stem)
            pointer = {
                "format": 2,
                "stem": stem,
                "files": {name: _checksum(self.folder / name) for name in names},
                "kind": str(index.kind),
                "built_for": str(kind),
                "store_id": self.store.store_id(),
                "last_seq": self.last_seq,
                "count": len(index),
                "dim": self.dim,
            }
            write_atomically(self.pointer, json.dumps(pointer, indent=1).encode())
        except (OSError, RuntimeError) as error:  # the second is FAISS's word for a file it could not write
            for path in self.folder.glob(f"*{stem}*"):
                path.unlink(missing_ok=True)
            raise StateError(
                f"the index could not be written to {self.folder} ({error}): free some space and run "
                "`python app.py -t rebuild`; no document is lost, and the last snapshot is still used"
            ) from error
        self._open_snapshot()
        for old in self.folder.glob(f"*{self.pointer.stem}-*"):
            if stem not in old.name and old != self.pointer:
                old.unlink(missing_ok=True)

    def _open_snapshot(self) -> None:
        """Sets `index` and `last_seq` from the snapshot, or to nothing where there is none that is good."""
        self.index, self.last_seq, self._n_unsaved, self._built_for = DenseIndex(self.dim), 0, 0, ""
        while (signature := _signature(self.pointer)) != self._seen_pointer:
            self._seen_pointer = signature
            try:
                pointer = json.loads(self.pointer.read_bytes())
                self.index, self.last_seq = self._load(pointer)
                self._built_for = str(pointer["built_for"])
            except (StateError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                # Another process may have put a newer one into its place in the meantime.
                if _signature(self.pointer) == signature:
                    self.opening_problem = str(error)
                    log.warning("the snapshot is not usable and is made again from the store: %s", error)

    def _load(self, pointer: dict[str, Any]) -> tuple[DenseIndex, int]:
        if pointer["format"] != 2:
            raise StateError(f"{self.pointer.name} has format {pointer['format']}, not 2")
        if pointer["store_id"] != self.store.store_id() or pointer["dim"] != self.dim:
            raise StateError(f"{self.pointer.name} is not of this store")
        if int(pointer["last_seq"]) > self.store.last_seq():
            raise StateError(f"{self.pointer.name} knows more than the store")
        with ThreadPoolExecutor() as threads:
            paths = [self.folder / name for name in pointer["files"]]
            for path, found in zip(paths, threads.map(_checksum, paths), strict=True):
                if found != pointer["files"][path.name]:
                    raise StateError(f"{path} does not have the checksum that {self.pointer.name} gives")
        index = DenseIndex.load(self.folder, pointer["stem"], self.dim)
        if len(index) != pointer["count"]:
            raise StateError(f"{self.pointer.name} counts {pointer['count']} vectors, there are {len(index)}")
        return index, int(pointer["last_seq"])


def _signature(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _checksum(path: Path) -> str:
    """CRC-32 and length: four gigabytes a second, so that an index of a million vectors opens in a second."""
    crc, size = 0, 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc, size = zlib.crc32(block, crc), size + len(block)
    return f"{crc:08x}-{size}"


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that after a crash there is the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Puts renames in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
