"""Vectors row by row, in memory or on the disk, and the exact scores of chosen ones."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Vectors
from crossmodal.index.flat import Rows
from crossmodal.index.kinds import flat_over, set_threads

BLOCK = 16_384  # rows scored at a time
MANY, SPAN = 1_000, 4  # so many rows are read with those between them, if these are at most so many times as many

Scores = NDArray[np.float32]


class RowSource(Protocol):
    """(n, dim) vectors."""

    def take(self, rows: Rows) -> NDArray[Any]:
        """The vectors of m rows, (m, dim) float16 or float32, as they are stored."""


class MemoryRows:
    """The float16 vectors in a flat FAISS index, which may be a mapped one."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def take(self, rows: Rows) -> NDArray[Any]:
        """As `RowSource.take`."""
        n, size = self.index.ntotal, self.index.code_size
        if n == 0:
            return np.empty((0, self.index.d), np.float16)
        codes = faiss.rev_swig_ptr(self.index.codes.data(), n * size).reshape(n, size)
        taken: NDArray[Any] = codes.take(rows, axis=0).view(np.float16)
        return taken


class FileRows:
    """The vectors in a `.npy` file, read from it whenever they are asked for.

    Not mapped: Linux maps with a page those around it that it has in its cache. Measured, 1,000 rows touched of
    300,000 made the whole file, 307 MB, memory of the process. Reading a row costs about 1 microsecond.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file; it may be removed from its folder afterwards.

        Raises:
            ValueError, OSError, EOFError: It is damaged or missing, or no matrix of float16.
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
    """The k best of these rows for each of (n, dim) queries, exactly.

    Returns:
        Scores (n, k), falling, and rows (n, k); -inf and -1 where there are fewer than k.
    """
    set_threads(len(queries))
    shape = (len(queries), k)
    scores, found = np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int64)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        n = min(k, len(block))
        block_scores, places = flat_over(source.take(block)).search(queries, n)
        if start == 0:
            scores[:, :n], found[:, :n] = block_scores, block[places]
        else:
            scores, found = merged(scores, found, block_scores, block[places])
    return scores, found


def merged(scores: Scores, ids: Rows, more_scores: Scores, more_ids: Rows) -> tuple[Scores, Rows]:
    """The best of two answers, as many as the first has: scores falling, and their ids."""
    all_scores, all_ids = np.hstack([scores, more_scores]), np.hstack([ids, more_ids])
    order = np.argsort(-all_scores, axis=1)[:, : scores.shape[1]]
    return np.take_along_axis(all_scores, order, axis=1), np.take_along_axis(all_ids, order, axis=1)
