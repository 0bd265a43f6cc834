"""The scorings of an inverted index, and their statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.lexical.postings import Postings, Weights

Scoring = Literal["dot", "activation-idf", "tf-idf"]


@dataclass(frozen=True, eq=False)
class ScoringStatistics:
    """The statistics for scoring, without removed images; computed again after each change.

    Attributes:
        n: Number of images.
        lengths: Number of images of each term, (n_terms,) int64.
        activation: Sum of each term's weights, (n_terms,) float64.
        active: Number of terms of each row, removed rows included, (n_rows,) int32.
        parts: The posting lists, which together contain all rows.
    """

    n: int
    lengths: NDArray[np.int64]
    activation: NDArray[np.float64]
    active: NDArray[np.int32]
    parts: Sequence[Postings]

    @cached_property
    def idf(self) -> NDArray[np.float64]:
        """ln((1 + n) / (1 + images of the term)) + 1, as in scikit-learn's `TfidfTransformer`."""
        values: NDArray[np.float64] = np.log((1 + self.n) / (1 + self.lengths)) + 1
        return values

    @cached_property
    def inverse_active(self) -> Weights:
        """1 / number of terms of each row, (n_rows,); 1 for an image without terms."""
        return np.reciprocal(np.maximum(self.active, 1).astype(np.float32))

    @cached_property
    def inverse_lengths(self) -> Weights:
        """1 / L2 norm of each row's TF-IDF vector, (n_rows,); 0 for an image without terms."""
        idf = self.idf.astype(np.float32)
        norms = np.concatenate([part.norms(idf) for part in self.parts])
        np.divide(1, norms, out=norms, where=norms > 0)
        return norms

    def effective(self, scoring: Scoring, terms: NDArray[np.int64], weights: Weights) -> tuple[Weights, Weights | None]:
        """The weights of a query under a scoring, and a factor for each row (n_rows,), or None for 1."""
        if scoring == "dot" or not self.n:
            return weights, None
        if scoring == "activation-idf":
            idf = np.log(self.n / (1 + self.activation[terms]))
            return (weights * idf).astype(np.float32), self.inverse_active
        idf = weights * self.idf[terms]
        return (idf / np.linalg.norm(idf) * self.idf[terms]).astype(np.float32), self.inverse_lengths


def check_scoring(scoring: str) -> None:
    """Checks the name of a scoring.

    Raises:
        InputError: The scoring is unknown; the message lists the known ones.
    """
    if scoring not in get_args(Scoring):
        raise InputError(f"there is no scoring {scoring!r}; there are {', '.join(get_args(Scoring))}")
