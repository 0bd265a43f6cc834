"""Compares the vectors of a converted model with those of the reference, float32 in torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmodal.core.types import Vectors

NEAREST = 10
LEAST_COSINE, LEAST_OVERLAP = 0.985, 0.85
"""The least mean cosine, and the least mean overlap of the ten nearest pictures, of a model that is used."""


@dataclass(frozen=True)
class Agreement:
    """How well the vectors of a converted model agree with the reference, on the pictures and texts of a probe set.

    The overlaps are the mean share of the ten nearest pictures of a query that both rankings have in common. Queries
    are the texts, or the pictures themselves for a model without texts.

    Attributes:
        cosine_min: The smallest cosine of a vector and its reference.
        cosine_mean: The mean cosine.
        overlap: The overlap of rankings of converted pictures for converted queries.
        mixed_overlap: The smaller overlap of rankings in which only the pictures, or only the queries, are converted.
    """

    cosine_min: float
    cosine_mean: float
    overlap: float
    mixed_overlap: float

    @property
    def is_close(self) -> bool:
        """Whether the converted model may be used."""
        return self.cosine_mean >= LEAST_COSINE and self.overlap >= LEAST_OVERLAP

    @property
    def mixes(self) -> bool:
        """Whether its vectors may be compared with vectors of the reference."""
        return self.is_close and self.mixed_overlap >= LEAST_OVERLAP

    def __str__(self) -> str:
        return (
            f"cosine to float32 {self.cosine_mean:.4f} on average, {self.cosine_min:.4f} at least; "
            f"{self.overlap:.0%} of the ten best pictures are the same"
        )


def agreement(images: tuple[Vectors, Vectors], texts: tuple[Vectors, Vectors] | None) -> Agreement:
    """The agreement of converted and reference vectors.

    Args:
        images: Vectors (n, dim) of more than ten pictures: converted, reference.
        texts: Vectors (m, dim) of texts: converted, reference; None for a model without texts.
    """
    pairs = [images] if texts is None else [images, texts]
    cosines = np.concatenate([np.sum(converted * reference, axis=1) for converted, reference in pairs])
    own = texts is None
    queries, expected = images if texts is None else texts
    best = _nearest(expected, images[1], own)
    return Agreement(
        float(cosines.min()),
        float(cosines.mean()),
        _overlap(best, _nearest(queries, images[0], own)),
        min(_overlap(best, _nearest(expected, images[0], own)), _overlap(best, _nearest(queries, images[1], own))),
    )


def _nearest(queries: Vectors, images: Vectors, own: bool) -> list[set[int]]:
    scores = queries @ images.T
    if own:
        np.fill_diagonal(scores, -np.inf)  # a picture is no match of itself
    return [set(row) for row in np.argsort(-scores, axis=1)[:, :NEAREST].tolist()]


def _overlap(first: list[set[int]], second: list[set[int]]) -> float:
    return float(np.mean([len(a & b) / NEAREST for a, b in zip(first, second, strict=True)]))
