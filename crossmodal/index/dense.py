"""Exact nearest neighbours of unit vectors by inner product (their cosine), through FAISS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import StateError
from crossmodal.core.types import Keys, Vectors

# Batches of more queries than this go through one matrix product. FAISS's own default of 20 queries is
# what its compiled value says on some builds and not on others; measured 8 times faster at 64 queries.
faiss.cvar.distance_compute_blas_threshold = 20

UNIT_TOLERANCE = 1e-3


class DenseIndex:
    """A flat index: every query is compared with every vector. Memory: dim * 4 bytes a vector."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Adds (n, dim) float32 rows of length 1 under n keys; a key that is there is replaced.

        Raises:
            ValueError: Rows that are not of length 1, or of another dim: encoders normalise, not we.
        """
        if vectors.shape != (len(keys), self.dim):
            raise ValueError(f"expected ({len(keys)}, {self.dim}) vectors, found {vectors.shape}")
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):
            raise ValueError(f"vectors must have length 1, found {lengths.min():.4f} to {lengths.max():.4f}")
        if len(np.unique(keys)) < len(keys):
            last = sorted({int(key): place for place, key in enumerate(keys)}.values())
            keys, vectors = keys[last], vectors[last]
        if len(self):
            self._index.remove_ids(faiss.IDSelectorBatch(np.ascontiguousarray(keys, np.int64)))
        self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.ascontiguousarray(keys, np.int64))

    def search(self, queries: Vectors, k: int) -> tuple[NDArray[np.float32], Keys]:
        """The k best of each of (n, dim) queries.

        Returns:
            Scores (n, k), falling, and keys (n, k); where the index has fewer than k, the rest of a row
            is -1 with a score of -inf. Equal scores come in no stated order.
        """
        # FAISS shares queries out among threads. More threads than queries only wait, on a core each.
        faiss.omp_set_num_threads(max(1, min(len(queries), os.cpu_count() or 1)))
        scores, keys = self._index.search(np.ascontiguousarray(queries, np.float32), k)
        return np.where(keys < 0, -np.inf, scores).astype(np.float32), keys

    def save(self, path: Path) -> None:
        """Writes the index to `path`: to a temporary file, onto the disk, then under its name."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        faiss.write_index(self._index, str(temporary))
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> DenseIndex:
        """Reads what `save` wrote.

        Raises:
            StateError: The file is damaged, or no index.
        """
        try:
            loaded = faiss.read_index(str(path))
        except RuntimeError as error:
            raise StateError(f"{path} is damaged: {error}") from error
        index = cls(loaded.d)
        index._index = loaded
        return index
