"""Posting lists: for each term the images that have it, and its weight in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix  # type: ignore[import-untyped]

Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Postings:
    """The posting lists of n images: for each term the rows that have it, ascending, and its weights.

    List t is `rows[starts[t]:starts[t + 1]]` (int32) and the same part of `weights` (float32, > 0).
    """

    n: int
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: Weights

    @classmethod
    def of(cls, pictures: csr_matrix) -> Postings:
        """The posting lists of a matrix (n, n_terms) without stored zeros."""
        lists = pictures.tocsc()
        return cls(
            pictures.shape[0],
            lists.indptr.astype(np.int64),
            lists.indices.astype(np.int32, copy=False),
            lists.data.astype(np.float32, copy=False),
        )

    def of_term(self, term: int) -> tuple[NDArray[np.int32], Weights]:
        """The posting list of a term."""
        start, end = self.starts[term : term + 2]
        return self.rows[start:end], self.weights[start:end]

    def dot(self, terms: NDArray[np.int64], query: Weights) -> Weights:
        """The sums (n,) of weight * query weight over `terms`, added in this order."""
        lists = [self.of_term(term) for term in terms.tolist()]
        if not lists:
            return np.zeros(self.n, np.float32)
        rows, weights = (np.concatenate(arrays) for arrays in zip(*lists, strict=True))
        ends = np.cumsum([0, *(len(of_term) for of_term, _ in lists)], dtype=np.int32)
        sums: Weights = csc_matrix((weights, rows, ends), shape=(self.n, len(lists))) @ query
        return sums

    def norms(self, factors: Weights) -> Weights:
        """The L2 norm (n,) of each image's weights times factors (n_terms,)."""
        shape = (self.n, len(self.starts) - 1)
        squares: Weights = csc_matrix((np.square(self.weights), self.rows, self.starts), shape=shape) @ np.square(
            factors
        )
        return np.sqrt(squares)


def canonical(weights: csr_matrix) -> csr_matrix:
    """A float32 copy with ascending, distinct terms in each row and without stored zeros."""
    copy = csr_matrix(weights, dtype=np.float32, copy=True)
    copy.sum_duplicates()
    copy.eliminate_zeros()
    return copy
