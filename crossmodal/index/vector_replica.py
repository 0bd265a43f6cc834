"""A replica of the store with a dense index of one modality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.slices import WHOLE, Slice
from crossmodal.core.types import Keys, Modality, Vectors
from crossmodal.index.choice import KindChoice
from crossmodal.index.config import IndexConfig
from crossmodal.index.dense import DenseIndex
from crossmodal.index.replica import StoreReplica
from crossmodal.store.condition import Condition
from crossmodal.store.protocol import Store
from crossmodal.store.records import StoreChanges


class VectorReplica(StoreReplica[DenseIndex]):
    """The dense index of one modality of a collection, synchronised with the store."""

    def __init__(
        self,
        store: Store,
        modality: Modality,
        folder: Path,
        dim: int,
        shard: int = 0,
        n_shards: int = 1,
        index_config: IndexConfig | None = None,
        part: Slice = WHOLE,
    ) -> None:
        """Opens the snapshot, if there is a valid one, and replays later commits.

        Args:
            store: The store of the collection.
            modality: The modality of the vectors.
            folder: The folder of the snapshots.
            dim: Dimension of the vectors.
            shard: The index has the keys of its slice with `key % n_shards == shard`.
            n_shards: Number of indexes that share the vectors.
            index_config: The kind of the next snapshot; None for `auto`.
            part: The slice of this node.
        """
        self.dim, self.shard, self.n_shards, self.part = dim, shard, n_shards, part
        self.index_config = index_config or IndexConfig()
        name = modality if part.is_whole else f"{modality}.{part.part}of{part.of}"
        super().__init__(store, modality, folder, f"{name}-{shard}-of-{n_shards}")

    def search(
        self, queries: Vectors, k: int, allowed: Keys | None = None, n_visited: int | None = None
    ) -> tuple[NDArray[np.float32], Keys]:
        """As `DenseIndex.search`, including the latest commits."""
        self.refresh()
        with self._lock:
            return self.index.search(queries, k, allowed, n_visited)

    def search_where(
        self, queries: Vectors, k: int, condition: Condition | None, n_visited: int | None = None
    ) -> tuple[NDArray[np.float32], Keys]:
        """As `search`, among the documents that meet the condition."""
        allowed = None if condition is None else self.store.keys_where(condition, self.modality)
        return self.search(queries, k, allowed, n_visited)

    def choice(self) -> KindChoice:
        """The kind of index for the current number of vectors, and why."""
        return self.index_config.choice(len(self.index), self.dim)

    def description(self) -> tuple[str, str]:
        """As `StoreReplica.description`."""
        choice = self.choice()
        return str(choice.kind), choice.why

    # -- for `StoreReplica`

    def _empty(self) -> DenseIndex:
        return DenseIndex(self.dim)

    def _add(self, changes: StoreChanges) -> int:
        in_shard = (changes.added % self.n_shards == self.shard) & self.part.has(changes.added)
        if in_shard.any():
            self.index.add(changes.added[in_shard], changes.vectors[in_shard])
        return int(in_shard.sum())

    def _is_other_kind(self) -> bool:
        return self._built_for not in ("", str(self.choice().kind)) and len(self.index) > 0

    def _index_to_write(self, *, compact: bool) -> DenseIndex:
        return self.index.frozen(self.choice().kind) if compact or not self._built_for else self.index.extended()

    def _load_index(self, stem: str) -> DenseIndex:
        return DenseIndex.load(self.folder, stem, self.dim)

    def _identity(self) -> dict[str, Any]:
        return {"dim": self.dim}

    def _kind_entries(self, index: DenseIndex) -> dict[str, str]:
        return {"kind": str(index.kind), "built_for": str(self.choice().kind)}
