"""Access to vectors by row, in memory or on disk, and exact search among given rows."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Vectors
from crossmodal.index.flat import FlatIndex, Rows, faiss_library, set_threads
from crossmodal.index.kinds import flat_over

BLOCK = 16_384  # rows scored at once
MANY, SPAN = 1_000, 4  # at least MANY rows are read as one range if it has at most SPAN times as many rows

Scores = NDArray[np.float32]


class RowSource(Protocol):
    """A source of vectors (n, dim)."""

    def take(self, rows: Rows) -> NDArray[Any]:
        """The vectors of m rows, (m, dim) in the stored type, float16 or float32."""


class MemoryRows:
    """The float16 vectors of a flat FAISS index, which may be memory-mapped."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def take(self, rows: Rows) -> NDArray[Any]:
        """As `RowSource.take`."""
        n, size = self.index.ntotal, self.index.code_size
        if n == 0:
            return np.empty((0, self.index.d), np.float16)
        codes = faiss_library().rev_swig_ptr(self.index.codes.data(), n * size).reshape(n, size)
        taken: NDArray[Any] = codes.take(rows, axis=0).view(np.float16)
        return taken


class FileRows:
    """The vectors in a `.npy` file, read on demand.

    Not memory-mapped, because Linux also maps cached pages around each page: accessing 1,000 of 300,000 rows made the
    whole file of 307 MB resident. Reading a row takes about 1 microsecond.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, which may be deleted afterwards.

        Raises:
            ValueError, OSError, EOFError: The file is damaged, missing, or not a matrix of float16.
        """
        matrix = np.load(path, mmap_mode="r")
        if matrix.dtype != np.float16 or matrix.ndim != 2 or not matrix.flags.c_contiguous:
            raise ValueError(f"expected a matrix of float16, found {matrix.dtype} {matrix.shape}")
        self.shape: tuple[int, int] = matrix.shape
        self._offset, self._row_bytes = matrix.offset, matrix.strides[0]
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def take(self, rows: Rows) -> NDArray[np.float16]:
        """As `RowSource.take`."""
        if len(rows) >= MANY:
            first = int(rows.min())
            n = int(rows.max()) + 1 - first
            if n <= SPAN * len(rows):
                return self._read(first, n).take(rows - first, axis=0)
        size, start, descriptor = self._row_bytes, self._offset, self._descriptor
        content = b"".join([os.pread(descriptor, size, start + row * size) for row in rows.tolist()])
        return np.frombuffer(content, np.float16).reshape(-1, self.shape[1])

    def _read(self, first: int, n: int) -> NDArray[np.float16]:
        content = os.pread(self._descriptor, n * self._row_bytes, self._offset + first * self._row_bytes)
        return np.frombuffer(content, np.float16).reshape(n, -1)


def best(queries: Vectors, source: RowSource, rows: Rows, k: int) -> tuple[Scores, Rows]:
    """The k best of the given rows for each of (n, dim) queries, by exact scores.

    Returns:
        Scores (n, k), falling, and rows (n, k); missing results have the score -inf and the row -1.
    """
    shape = (len(queries), k)
    scores, best_rows = np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int64)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        n = min(k, len(block))
        index = flat_over(source.take(block))
        if not isinstance(index, FlatIndex):
            set_threads(len(queries))
        block_scores, places = index.search(queries, n)
        if start == 0:
            scores[:, :n], best_rows[:, :n] = block_scores, block[places]
        else:
            scores, best_rows = merged(scores, best_rows, block_scores, block[places])
    return scores, best_rows


def merged(scores: Scores, ids: Rows, more_scores: Scores, more_ids: Rows) -> tuple[Scores, Rows]:
    """The best scores of two results, falling, and their ids; as many as the first has."""
    all_scores, all_ids = np.hstack([scores, more_scores]), np.hstack([ids, more_ids])
    order = np.argsort(-all_scores, axis=1)[:, : scores.shape[1]]
    return np.take_along_axis(all_scores, order, axis=1), np.take_along_axis(all_ids, order, axis=1)
