"""Recall at K and ranks, by the field's protocol: five captions an image, one image a caption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.core.types import Vectors

KS = (1, 5, 10)
CHUNK = 1024
"""Queries scored at a time: 100 MB of scores against 25,000 candidates."""

CAPTIONS_AN_IMAGE = 5
"""How many captions of an image the protocol takes; some of COCO's have six or seven."""

NOT_FOUND = int(np.iinfo(np.int64).max)
"""The rank of what an answer of limited length does not have in it: a miss, at a rank nobody knows."""

Ranks = NDArray[np.int64]


@dataclass(frozen=True)
class Retrieval:
    """How one direction did. Recalls are fractions in [0, 1]; the best rank is 1; NaN is what can't be known."""

    recall: dict[int, float]
    median_rank: float
    mean_rank: float
    mrr: float

    def to_dict(self) -> dict[str, float]:
        """With the field's names; what can't be known is left out."""
        recalls = {f"R@{k}": round(value, 4) for k, value in self.recall.items()}
        of_ranks = {"MedR": self.median_rank, "MeanR": round(self.mean_rank, 2), "MRR": round(self.mrr, 4)}
        return {**recalls, **{name: value for name, value in of_ranks.items() if not math.isnan(value)}}


def text_to_image_ranks(images: Vectors, texts: Vectors, image_of: NDArray[np.int64]) -> Ranks:
    """The rank of each text's own image among all images.

    Args:
        images: (n, dim) unit vectors.
        texts: (m, dim) unit vectors.
        image_of: (m,) row in `images` of each text's image.

    Returns:
        (m,) ranks from 1. A tie counts against us: an image with the same score stands before. So does
        a score that is no number.
    """
    ranks = np.empty(len(texts), np.int64)
    for start in range(0, len(texts), CHUNK):
        scores = texts[start : start + CHUNK] @ images.T
        own = np.take_along_axis(scores, image_of[start : start + CHUNK, None], axis=1)
        ranks[start : start + CHUNK] = len(images) - np.count_nonzero(scores < own, axis=1)
    return ranks


def image_to_text_ranks(images: Vectors, texts: Vectors, image_of: NDArray[np.int64]) -> Ranks:
    """The best rank of any of an image's own texts among all texts; images without a text are left out.

    Returns:
        (number of images with a text,) ranks from 1, in the order of the images; a text of another image
        with the same score stands before. The image's own texts do not stand before each other.

    Source: Faghri et al. 2017 (VSE++), section 4: the closest of the five captions counts.
    """
    ranks = []
    for start in range(0, len(images), CHUNK):
        scores = images[start : start + CHUNK] @ texts.T
        own = image_of[None, :] == np.arange(start, start + len(scores))[:, None]
        has_text = own.any(axis=1)
        best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
        ranks.append(1 + np.count_nonzero(~((scores < best) | own), axis=1)[has_text])
    return np.concatenate(ranks) if ranks else np.empty(0, np.int64)


def summarise(ranks: Ranks, ks: tuple[int, ...] = KS) -> Retrieval:
    """Recalls, median and mean rank, and mean reciprocal rank of ranks that begin at 1.

    Args:
        ranks: (n,) with n > 0. Where one is `NOT_FOUND`, the recalls are what they are as long as no k is
            greater than the answers were long, and median, mean and reciprocal rank can't be known.
        ks: Where to cut.

    Example:
        >>> summarise(np.array([1, 2, 20])).recall
        {1: 0.3333333333333333, 5: 0.6666666666666666, 10: 0.6666666666666666}
    """
    known = bool((ranks != NOT_FOUND).all())
    return Retrieval(
        recall={k: float(np.mean(ranks <= k)) for k in ks},
        median_rank=float(np.floor(np.median(ranks))) if known else math.nan,
        mean_rank=float(np.mean(ranks)) if known else math.nan,
        mrr=float(np.mean(1.0 / ranks)) if known else math.nan,
    )


def rsum(*directions: Retrieval) -> float:
    """The sum of all recalls, in percent, as VSE++ selects models by."""
    return round(100 * sum(sum(d.recall.values()) for d in directions), 2)


def both_ways(images: Vectors, texts: Vectors, image_of: NDArray[np.int64]) -> tuple[Retrieval, Retrieval]:
    """Text to image, and image to text; the arguments are those of `text_to_image_ranks`."""
    t2i, i2t = text_to_image_ranks(images, texts, image_of), image_to_text_ranks(images, texts, image_of)
    return summarise(t2i), summarise(i2t)


def fold_size(n_images: int, n_folds: int) -> int:
    """How many images a fold has.

    Raises:
        InputError: The folds would not be of one size.
    """
    size, rest = divmod(n_images, n_folds)
    if rest or not size:
        advice = f"take `-n {size * n_folds}`, or choose other --folds" if size else "choose fewer --folds"
        raise InputError(f"{n_images} pictures can't be cut into {n_folds} folds of one size: {advice}")
    return size


def in_folds(images: Vectors, texts: Vectors, image_of: NDArray[np.int64], n_folds: int) -> tuple[Retrieval, Retrieval]:
    """The means over folds of as many consecutive images each, every fold ranked by itself.

    Raises:
        InputError: The folds would not be of one size.

    Source: Faghri et al. 2017 (VSE++), section 4: COCO's 1K figures are means over five folds of 1,000.
    """
    size = fold_size(len(images), n_folds)
    t2i, i2t = [], []
    for fold in range(n_folds):
        own = image_of // size == fold
        one, other = both_ways(images[fold * size : (fold + 1) * size], texts[own], image_of[own] - fold * size)
        t2i.append(one)
        i2t.append(other)
    return _mean(t2i), _mean(i2t)


def _mean(folds: Sequence[Retrieval]) -> Retrieval:
    return Retrieval(
        recall={k: float(np.mean([fold.recall[k] for fold in folds])) for k in folds[0].recall},
        median_rank=float(np.mean([fold.median_rank for fold in folds])),
        mean_rank=float(np.mean([fold.mean_rank for fold in folds])),
        mrr=float(np.mean([fold.mrr for fold in folds])),
    )


def figures(t2i: Retrieval, i2t: Retrieval) -> dict[str, Any]:
    """`{"t2i", "i2t", "rsum"}`, ready for JSON."""
    return {"t2i": t2i.to_dict(), "i2t": i2t.to_dict(), "rsum": rsum(t2i, i2t)}


def measure(images: Vectors, texts: Vectors, image_of: NDArray[np.int64]) -> dict[str, Any]:
    """Recall both ways and rsum, ready for JSON; the arguments are those of `text_to_image_ranks`."""
    return figures(*both_ways(images, texts, image_of))


def rank_in_answer(answer: Sequence[tuple[str, float]], own: set[str]) -> int:
    """The best rank of any of a query's own among (id, score) pairs, or `NOT_FOUND`.

    The order of the pairs does not matter, and ties count as they do everywhere here: one of another
    with the same score stands before. What lies behind the end of the answer can't be seen, ties included.

    Example:
        >>> rank_in_answer([("a", 0.9), ("b", 0.5), ("c", 0.5)], {"b"})
        3
    """
    best = max((score for name, score in answer if name in own), default=None)
    if best is None:
        return NOT_FOUND
    return 1 + sum(score >= best for name, score in answer if name not in own)
