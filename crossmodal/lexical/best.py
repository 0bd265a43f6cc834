"""Selection of the k best scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmodal.lexical.postings import Weights

BLOCK = 64


def best_rows(scores: Weights, k: int, floor: float) -> NDArray[np.int64]:
    """The rows of the k greatest of (n,) scores above `floor`, by falling score, then ascending row.

    The k-th greatest of the maxima of blocks is a close lower bound of the k-th greatest score, so only the few rows
    above it are sorted.

    >>> best_rows(np.array([0, 3, 1, 3], np.float32), 3, 0.0).tolist()
    [1, 3, 2]
    """
    n_blocks = len(scores) // BLOCK
    bound = floor
    if n_blocks >= k:
        maxima = scores[: n_blocks * BLOCK].reshape(BLOCK, n_blocks).max(axis=0)
        bound = float(np.partition(maxima, n_blocks - k)[n_blocks - k])
    rows = np.flatnonzero(scores >= bound if bound > floor else scores > floor)
    if len(rows) > k:
        values = scores[rows]
        least = np.partition(values, len(values) - k)[len(values) - k]
        better = rows[values > least]
        rows = np.concatenate([better, rows[values == least][: k - len(better)]])
    return rows[np.lexsort((rows, -scores[rows]))]
