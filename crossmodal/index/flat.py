"""A flat index in float32: every row is compared with the query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Vectors

FEW_QUERIES = 20
"""Up to so many are compared one by one; more go through a matrix product of FAISS, on several threads."""
Rows = NDArray[np.int64]


class FlatIndex:
    """(n, dim) float32 rows, in memory or in a mapped file, behind the methods that a FAISS index has.

    Not `faiss.IndexFlatIP`, since a single query is what there is most of: over 300,000 rows of 512 its scan took
    87 ms (7 GB/s), and `numpy.einsum`, which keeps several sums going at once, 25 ms (24 GB/s, what the machine
    can read). A row's score does not depend on what else is in the index.
    """

    def __init__(self, rows: Vectors) -> None:
        """Takes over the rows; a mapped file's stay there until rows are added."""
        self._room = rows
        self.ntotal: int
        self.d: int
        self.ntotal, self.d = rows.shape

    @classmethod
    def read(cls, path: Path) -> FlatIndex:
        """The rows of a `.npy` file, mapped.

        Raises:
            ValueError, OSError, EOFError: It is damaged or missing, or no matrix of float32.
        """
        matrix: Any = np.load(path, mmap_mode="r")
        if matrix.dtype != np.float32 or matrix.ndim != 2 or not matrix.flags.c_contiguous:
            raise ValueError(f"expected a matrix of float32, found {matrix.dtype} {matrix.shape}")
        return cls(np.asarray(matrix))

    def write(self, path: Path) -> None:
        """Writes the rows, in the layout of a `.npy` file, whatever the name."""
        with path.open("wb") as file:
            np.lib.format.write_array(file, self.rows, allow_pickle=False)

    @property
    def rows(self) -> Vectors:
        """(n, dim), not to be written to."""
        return self._room[: self.ntotal]

    def take(self, rows: Rows) -> Vectors:
        """The vectors of m rows, (m, dim)."""
        return self.rows.take(rows, axis=0)

    def copy(self) -> FlatIndex:
        """One of the same content, in memory."""
        return FlatIndex(self.rows.copy())

    def add(self, vectors: Vectors) -> None:
        """Appends (m, dim) rows."""
        n = self.ntotal + len(vectors)
        if n > len(self._room):
            room = np.empty((n + n // 2, self.d), np.float32)
            room[: self.ntotal] = self.rows
            self._room = room
        self._room[self.ntotal : n] = vectors
        self.ntotal = n

    def search(self, queries: Vectors, k: int, params: None = None) -> tuple[NDArray[np.float32], Rows]:
        """The k best inner products of each of (n, dim) queries, falling, (n, k), and their rows; where there are
        fewer, the rest is the lowest float32, in row -1.
        """
        if len(queries) >= FEW_QUERIES:
            found: tuple[NDArray[np.float32], Rows] = faiss.knn(queries, self.rows, k, faiss.METRIC_INNER_PRODUCT)
            return found
        scores = np.full((len(queries), k), np.finfo(np.float32).min, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        n_found = min(k, self.ntotal)
        for i, query in enumerate(queries):
            products = np.einsum("ij,j->i", self.rows, query)
            best = np.argpartition(products, -n_found)[-n_found:] if n_found < self.ntotal else np.arange(self.ntotal)
            best = best[np.argsort(-products[best], kind="stable")]
            scores[i, :n_found], rows[i, :n_found] = products[best], best
        return scores, rows
