"""The dense index of one modality, kept in step with the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Keys, Modality, Vectors
from crossmodal.index.choice import KindChoice
from crossmodal.index.config import IndexConfig
from crossmodal.index.dense import DenseIndex
from crossmodal.index.replica import StoreReplica
from crossmodal.store.sqlite import DocumentStore, StoreChanges


class VectorReplica(StoreReplica[DenseIndex]):
    """The vectors of one modality of a collection, kept in step with the store."""

    def __init__(
        self,
        store: DocumentStore,
        modality: Modality,
        folder: Path,
        dim: int,
        shard: int = 0,
        n_shards: int = 1,
        index_config: IndexConfig | None = None,
    ) -> None:
        """Opens the snapshot, unless there is none or it is damaged, and replays later commits.

        Args:
            store: The store of the collection.
            modality: The modality of the vectors.
            folder: The folder of the snapshots.
            dim: Length of a vector.
            shard: With `n_shards`: this index holds the keys with `key % n_shards == shard`.
            n_shards: How many indexes share the vectors.
            index_config: The kind of the next snapshot; by default `auto`.
        """
        self.dim, self.shard, self.n_shards = dim, shard, n_shards
        self.index_config = index_config or IndexConfig()
        super().__init__(store, modality, folder, f"{modality}-{shard}-of-{n_shards}")

    def search(self, queries: Vectors, k: int, allowed: Keys | None = None) -> tuple[NDArray[np.float32], Keys]:
        """The k best of everything committed so far; as `DenseIndex.search`."""
        self.refresh()
        with self._lock:
            return self.index.search(queries, k, allowed)

    def choice(self) -> KindChoice:
        """The kind that the index would be built with now, and why."""
        return self.index_config.choice(len(self.index), self.dim)

    def description(self) -> tuple[str, str]:
        """Its kind, and why it is of that kind."""
        choice = self.choice()
        return str(choice.kind), choice.why

    # -- for `StoreReplica`

    def _empty(self) -> DenseIndex:
        return DenseIndex(self.dim)

    def _add(self, changes: StoreChanges) -> int:
        mine = changes.added % self.n_shards == self.shard
        if mine.any():
            self.index.add(changes.added[mine], changes.vectors[mine])
        return int(mine.sum())

    def _is_other_kind(self) -> bool:
        return self._built_for not in ("", str(self.choice().kind)) and len(self.index) > 0

    def _to_write(self, *, compact: bool) -> DenseIndex:
        return self.index.frozen(self.choice().kind) if compact or not self._built_for else self.index.extended()

    def _load_index(self, stem: str) -> DenseIndex:
        return DenseIndex.load(self.folder, stem, self.dim)

    def _told(self, index: DenseIndex) -> dict[str, Any]:
        return {"kind": str(index.kind), "built_for": str(self.choice().kind), "dim": self.dim}

    def _fits(self, pointer: dict[str, Any]) -> bool:
        return bool(pointer.get("dim") == self.dim)
