"""A replica of the store with an inverted index of the images' learned words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from crossmodal.core.types import Keys
from crossmodal.index.replica import StoreReplica
from crossmodal.lexical.inverted import SparseIndex
from crossmodal.lexical.model import SparseModel
from crossmodal.lexical.postings import Weights
from crossmodal.lexical.scoring import Scoring
from crossmodal.store.protocol import Store
from crossmodal.store.records import StoreChanges

NAME = "sparse"


class TermReplica(StoreReplica[SparseIndex]):
    """The word weights of all images, computed from their vectors in the store."""

    def __init__(self, store: Store, folder: Path, model: SparseModel, weights_hash: str) -> None:
        """Opens the snapshot, if there is a valid one, and replays later commits.

        Args:
            store: The store of the collection.
            folder: The folder of the snapshots.
            model: Computes the word weights of a vector.
            weights_hash: Hash of the model; a snapshot of another model is ignored.
        """
        self.model, self.weights_hash = model, weights_hash
        self.scoring: Scoring = model.config.scoring
        super().__init__(store, "image", folder, NAME)

    def search(self, query: csr_matrix, k: int, allowed: Keys | None = None) -> tuple[Weights, Keys]:
        """As `SparseIndex.search`, including the latest commits."""
        self.refresh()
        with self._lock:
            return self.index.search(query, k, allowed, self.scoring)

    def contributions(self, query: csr_matrix, keys: Keys) -> tuple[NDArray[np.int64], Weights]:
        """As `SparseIndex.contributions`."""
        with self._lock:
            return self.index.contributions(query, keys, self.scoring)

    def description(self) -> tuple[str, str]:
        """As `StoreReplica.description`."""
        with self._lock:
            active = self.index.active_terms()
        mean = float(active.mean()) if len(active) else 0.0
        without = int(np.count_nonzero(active == 0))
        return "inverted", f"{mean:.1f} of {self.index.n_terms} words per picture; {without} pictures have none"

    # -- for `StoreReplica`

    def _empty(self) -> SparseIndex:
        return SparseIndex(len(self.model.vocabulary))

    def _add(self, changes: StoreChanges) -> int:
        if len(changes.added):
            self.index.add(changes.added, self.model.image_weights(changes.vectors))
        return len(changes.added)

    def _index_to_write(self, *, compact: bool) -> SparseIndex:
        return self.index.compacted()

    def _load_index(self, stem: str) -> SparseIndex:
        return SparseIndex.load(self.folder, stem)

    def _identity(self) -> dict[str, Any]:
        return {"model": self.weights_hash}
