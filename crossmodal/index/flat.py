"""A flat index in float32, which compares every row with the query."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.machine import CORES
from crossmodal.core.types import Vectors

FEW_QUERIES = 8
"""Number of queries from which a search uses FAISS's matrix product on several threads.

A query of 20,000 rows of dimension 512 takes 1.9 ms of processor time with 8 queries, 1.2 ms with 16, and 6 ms alone.
"""
Rows = NDArray[np.int64]


@cache
def faiss_library() -> Any:
    """FAISS, imported on first use: a few queries of a flat index need no part of it, and start faster without."""
    import faiss

    # From this number of queries on, FAISS's flat indexes use one matrix product, 8 times as fast for 64 queries.
    # The default differs between builds of FAISS (128,000 in 1.15.1).
    faiss.cvar.distance_compute_blas_threshold = FEW_QUERIES
    return faiss


def set_threads(n_queries: int) -> None:
    """Limits FAISS's threads to the number of queries, because excess threads busy-wait."""
    faiss_library().omp_set_num_threads(max(1, min(n_queries, CORES)))


class FlatIndex:
    """Vectors (n, dim) float32, in memory or in a mapped file, with the methods of a FAISS index.

    Replaces `faiss.IndexFlatIP` because most searches have a single query: for 300,000 rows of dimension 512, FAISS
    took 87 ms (7 GB/s) and `numpy.einsum`, which computes several sums at once, 25 ms (24 GB/s, the memory bandwidth).
    The score of a row does not depend on the other rows.
    """

    def __init__(self, rows: Vectors) -> None:
        """Stores the rows without copying them; rows of a mapped file are copied when rows are added."""
        self._buffer = rows
        self.ntotal: int
        self.d: int
        self.ntotal, self.d = rows.shape

    @classmethod
    def read(cls, path: Path) -> FlatIndex:
        """The index in a `.npy` file, memory-mapped.

        Raises:
            ValueError, OSError, EOFError: The file is damaged, missing, or not a matrix of float32.
        """
        matrix: Any = np.load(path, mmap_mode="r")
        if matrix.dtype != np.float32 or matrix.ndim != 2 or not matrix.flags.c_contiguous:
            raise ValueError(f"expected a matrix of float32, found {matrix.dtype} {matrix.shape}")
        return cls(np.asarray(matrix))

    def write(self, path: Path) -> None:
        """Writes the rows in the `.npy` format, whatever the name of the file."""
        with path.open("wb") as file:
            np.lib.format.write_array(file, self.rows, allow_pickle=False)

    @property
    def rows(self) -> Vectors:
        """The vectors (n, dim); must not be modified."""
        return self._buffer[: self.ntotal]

    def take(self, rows: Rows) -> Vectors:
        """The vectors of m rows, (m, dim)."""
        return self.rows.take(rows, axis=0)

    def copy(self) -> FlatIndex:
        """A copy in memory."""
        return FlatIndex(self.rows.copy())

    def add(self, vectors: Vectors) -> None:
        """Appends vectors (m, dim)."""
        n = self.ntotal + len(vectors)
        if n > len(self._buffer):
            buffer = np.empty((n + n // 2, self.d), np.float32)
            buffer[: self.ntotal] = self.rows
            self._buffer = buffer
        self._buffer[self.ntotal : n] = vectors
        self.ntotal = n

    def search(self, queries: Vectors, k: int, params: None = None) -> tuple[NDArray[np.float32], Rows]:
        """The k best inner products (n, k) of each of (n, dim) queries, falling, and their rows (n, k).

        Missing results have the row -1 and the lowest float32 as score, as in FAISS.
        """
        if len(queries) >= FEW_QUERIES:
            faiss = faiss_library()
            set_threads(len(queries))
            result: tuple[NDArray[np.float32], Rows] = faiss.knn(queries, self.rows, k, faiss.METRIC_INNER_PRODUCT)
            return result
        scores = np.full((len(queries), k), np.finfo(np.float32).min, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        n_results = min(k, self.ntotal)
        for i, query in enumerate(queries):
            products = np.einsum("ij,j->i", self.rows, query)
            if n_results < self.ntotal:
                best = np.argpartition(products, -n_results)[-n_results:]
            else:
                best = np.arange(self.ntotal)
            best = best[np.argsort(-products[best], kind="stable")]
            scores[i, :n_results], rows[i, :n_results] = products[best], best
        return scores, rows
