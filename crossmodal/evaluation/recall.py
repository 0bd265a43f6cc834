"""Recall at K and ranks, by the field's protocol: five captions an image, one image a caption."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Vectors

KS = (1, 5, 10)
CHUNK = 1024

Ranks = NDArray[np.int64]


@dataclass(frozen=True)
class Retrieval:
    """How one direction did. Recalls are fractions in [0, 1]; the best rank is 1."""

    recall: dict[int, float]
    median_rank: float
    mean_rank: float
    mrr: float

    def to_dict(self) -> dict[str, float]:
        """With the field's names."""
        recalls = {f"R@{k}": round(value, 4) for k, value in self.recall.items()}
        return {**recalls, "MedR": self.median_rank, "MeanR": round(self.mean_rank, 2), "MRR": round(self.mrr, 4)}


def text_to_image_ranks(images: Vectors, texts: Vectors, image_of: NDArray[np.int64]) -> Ranks:
    """The rank of each text's own image among all images.

    Args:
        images: (n, dim) unit vectors.
        texts: (m, dim) unit vectors.
        image_of: (m,) row in `images` of each text's image.

    Returns:
        (m,) ranks from 1. A tie counts against us: an image with the same score stands before.
    """
    ranks = np.empty(len(texts), np.int64)
    for start in range(0, len(texts), CHUNK):
        scores = texts[start : start + CHUNK] @ images.T
        own = np.take_along_axis(scores, image_of[start : start + CHUNK, None], axis=1)
        ranks[start : start + CHUNK] = (scores >= own).sum(axis=1)
    return ranks


def image_to_text_ranks(images: Vectors, texts: Vectors, image_of: NDArray[np.int64]) -> Ranks:
    """The best rank of any of an image's own texts among all texts; images without a text are left out.

    Returns:
        (number of images with a text,) ranks from 1, in the order of the images; a text of another image
        with the same score stands before.

    Source: Faghri et al. 2017 (VSE++), section 4: the closest of the five captions counts.
    """
    ranks = []
    for start in range(0, len(images), CHUNK):
        scores = images[start : start + CHUNK] @ texts.T
        own = image_of[None, :] == np.arange(start, start + len(scores))[:, None]
        has_text = own.any(axis=1)
        best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
        ranks.append(((scores >= best) & ~own).sum(axis=1)[has_text] + 1)
    return np.concatenate(ranks) if ranks else np.empty(0, np.int64)


def summarise(ranks: Ranks, ks: tuple[int, ...] = KS) -> Retrieval:
    """Recalls, median and mean rank, and mean reciprocal rank of ranks that begin at 1.

    Example:
        >>> summarise(np.array([1, 2, 20])).recall
        {1: 0.3333333333333333, 5: 0.6666666666666666, 10: 0.6666666666666666}
    """
    return Retrieval(
        recall={k: float(np.mean(ranks <= k)) for k in ks},
        median_rank=float(np.floor(np.median(ranks))),
        mean_rank=float(np.mean(ranks)),
        mrr=float(np.mean(1.0 / ranks)),
    )


def rsum(*directions: Retrieval) -> float:
    """The sum of all recalls, in percent, as VSE++ selects models by."""
    return round(100 * sum(sum(d.recall.values()) for d in directions), 2)
