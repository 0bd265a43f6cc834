"""The vectors of one modality in the database, which searches them itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import StateError
from crossmodal.core.types import Keys, Modality, Vectors
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.condition import Condition
from crossmodal.store.protocol import SqlVectors, Store

NOT_BUILT = "the database has no tables of pgvector for this collection yet: run `python app.py -t rebuild`"


class SqlReplica(VectorReplica):
    """A `VectorReplica` without vectors, files and lag, because the store searches its own.

    A Flow with several shards asks the first only.
    """

    def __init__(self, store: Store, vectors: SqlVectors, modality: Modality, dim: int, shard: int = 0) -> None:
        """Takes the open store, its vectors in SQL, the modality, the dimension, and the shard of this process."""
        self.store, self.modality, self.dim = store, modality, dim
        self._vectors, self._shard = vectors, shard
        self.opening_problem = "" if vectors.is_built(modality) else NOT_BUILT

    def __len__(self) -> int:
        return self._vectors.count(self.modality) if self._vectors.is_built(self.modality) else 0

    @property
    def n_unsaved(self) -> int:
        """As `StoreReplica.n_unsaved`."""
        return 0

    def refresh(self) -> int:
        """As `StoreReplica.refresh`; there is nothing to do."""
        return 0

    def description(self) -> tuple[str, str]:
        """As `StoreReplica.description`."""
        return "pgvector", "requested by name"

    def snapshot(self) -> bool:
        """Builds the table if it does not exist; returns whether it did."""
        if self._vectors.is_built(self.modality):
            return False
        self.rebuild()
        return True

    def compact(self) -> None:
        """As `StoreReplica.compact`; the server's autovacuum does it."""

    def rebuild(self) -> None:
        """As `StoreReplica.rebuild`, for all nodes."""
        self._vectors.build(self.modality, self.dim)
        self.opening_problem = ""

    def search(
        self, queries: Vectors, k: int, allowed: Keys | None = None, n_visited: int | None = None
    ) -> tuple[NDArray[np.float32], Keys]:
        """As `DenseIndex.search`, without `allowed`, which `search_where` replaces."""
        if allowed is not None:
            raise ValueError("keys can't be given to a search in SQL: use search_where")
        return self.search_where(queries, k, None, n_visited)

    def search_where(
        self, queries: Vectors, k: int, condition: Condition | None, n_visited: int | None = None
    ) -> tuple[NDArray[np.float32], Keys]:
        """As `VectorReplica.search_where`; the settings of the server decide instead of `n_visited`.

        Raises:
            StateError: The table has not been built.
        """
        if self.opening_problem:
            if not self._vectors.is_built(self.modality):
                raise StateError(NOT_BUILT)
            self.opening_problem = ""
        scores = np.full((len(queries), k), -np.inf, np.float32)
        keys = np.full((len(queries), k), -1, np.int64)
        if self._shard:
            return scores, keys
        for row, query in enumerate(queries):
            for column, (key, score) in enumerate(self._vectors.nearest(self.modality, query, k, condition)):
                keys[row, column], scores[row, column] = key, score
        return scores, keys
