"""How certain it is that a picture shows what a label says.

The relevance of a search asks whether the best of all pictures matches; a label asks it of each picture by itself. As
in `BesidePhrases`, a picture's cosine with a label is compared with its cosines with phrases that say nothing about it;
a logistic function of this z-score is the certainty. Labels do not compete, so that a picture may have several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossmodal.core.types import Vectors
from crossmodal.relevance.rules import BesidePhrases, Floats, logistic

LEAST_PHRASES = 20


@dataclass(frozen=True)
class LabelRule:
    """Certainty is 1 / (1 + exp(-scale * (z - threshold))), the greatest of all phrases of a label.

    Source: Platt 1999, on the t-norm score of `BesidePhrases`.

    Attributes:
        background: The phrases that the z-scores are relative to.
        scale: Of the z-score.
        threshold: The z-score from which a label is more likely right than wrong.
    """

    background: BesidePhrases
    scale: float
    threshold: float

    @classmethod
    def beside(cls, phrases: Vectors, scale: float, threshold: float) -> LabelRule:
        """The rule relative to phrases (p, dim), unit vectors of the collection's model."""
        mean = phrases.mean(axis=0)
        centred = (phrases - mean).astype(np.float64)
        covariance = (centred.T @ centred / len(phrases)).astype(np.float32)
        return cls(BesidePhrases(mean, covariance, 1.0), scale, threshold)

    def certainties(self, pictures: Vectors, phrases: Vectors, starts: Sequence[int]) -> Floats:
        """(k, labels) in [0, 1].

        Args:
            pictures: (k, dim) unit vectors.
            phrases: (p, dim) unit vectors of the phrases of all labels, those of a label adjacent.
            starts: (labels,) the first phrase of each label, rising from 0.
        """
        z = self.background.z((phrases @ pictures.T).astype(np.float64), pictures)  # (p, k)
        best: Floats = np.maximum.reduceat(z, list(starts), axis=0).T
        return logistic(self.scale * (best - self.threshold))
