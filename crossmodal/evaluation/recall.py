"""Recall at k and ranks by the standard protocol: five captions per image, one image per caption."""

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
"""Queries scored at once; 100 MB of scores with 25,000 candidates."""

CAPTIONS_AN_IMAGE = 5
"""Captions per image in the protocol; some images of COCO have six or seven."""

NOT_FOUND = int(np.iinfo(np.int64).max)
"""The rank of a match beyond the end of an answer: a miss of unknown rank."""

Ranks = NDArray[np.int64]


@dataclass(frozen=True)
class Retrieval:
    """The figures of one direction. Recalls are fractions in [0, 1], the best rank is 1, unknown figures are NaN."""

    recall: dict[int, float]
    median_rank: float
    mean_rank: float
    mrr: float

    def to_dict(self) -> dict[str, float]:
        """A dictionary with the usual names of the figures, without unknown ones."""
        recalls = {f"R@{k}": round(value, 4) for k, value in self.recall.items()}
        of_ranks = {"MedR": self.median_rank, "MeanR": round(self.mean_rank, 2), "MRR": round(self.mrr, 4)}
        return {**recalls, **{name: value for name, value in of_ranks.items() if not math.isnan(value)}}


def text_to_image_ranks(images: Vectors, texts: Vectors, image_of: NDArray[np.int64]) -> Ranks:
    """The rank of each text's image among all images.

    Args:
        images: (n, dim) unit vectors.
        texts: (m, dim) unit vectors.
        image_of: (m,) row in `images` of each text's image.

    Returns:
        (m,) ranks from 1. Ties are pessimistic: other images with the same score, or with a score of NaN, rank first.
    """
    ranks = np.empty(len(texts), np.int64)
    for start in range(0, len(texts), CHUNK):
        scores = texts[start : start + CHUNK] @ images.T
        relevant = np.take_along_axis(scores, image_of[start : start + CHUNK, None], axis=1)
        ranks[start : start + CHUNK] = len(images) - np.count_nonzero(scores < relevant, axis=1)
    return ranks


def image_to_text_ranks(images: Vectors, texts: Vectors, image_of: NDArray[np.int64]) -> Ranks:
    """The rank of each image's best text among all texts; images without a text are skipped.

    Returns:
        (number of images with a text,) ranks from 1, in the order of the images. Texts of other images with the same
        score rank first; further texts of the same image don't count.

    Source: Faghri et al. 2017 (VSE++), section 4: the closest of the five captions counts.
    """
    ranks = []
    for start in range(0, len(images), CHUNK):
        scores = images[start : start + CHUNK] @ texts.T
        relevant = image_of[None, :] == np.arange(start, start + len(scores))[:, None]
        has_text = relevant.any(axis=1)
        best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
        ranks.append(1 + np.count_nonzero(~((scores < best) | relevant), axis=1)[has_text])
    return np.concatenate(ranks) if ranks else np.empty(0, np.int64)


def summarise(ranks: Ranks, ks: tuple[int, ...] = KS) -> Retrieval:
    """Recall at each of `ks`, median and mean rank, and mean reciprocal rank.

    Args:
        ranks: (n,) from 1, n > 0. If one is `NOT_FOUND`, recall is correct up to the length of the answers, and median,
            mean and reciprocal rank are unknown.
        ks: The cut-offs of recall.

    Example:
        >>> summarise(np.array([1, 2, 20])).recall
        {1: 0.3333333333333333, 5: 0.6666666666666666, 10: 0.6666666666666666}
    """
    is_known = bool((ranks != NOT_FOUND).all())
    return Retrieval(
        recall={k: float(np.mean(ranks <= k)) for k in ks},
        median_rank=float(np.floor(np.median(ranks))) if is_known else math.nan,
        mean_rank=float(np.mean(ranks)) if is_known else math.nan,
        mrr=float(np.mean(1.0 / ranks)) if is_known else math.nan,
    )


def rsum(*directions: Retrieval) -> float:
    """The sum of all recalls in percent, by which VSE++ selects models."""
    return round(100 * sum(sum(d.recall.values()) for d in directions), 2)


def both_ways(images: Vectors, texts: Vectors, image_of: NDArray[np.int64]) -> tuple[Retrieval, Retrieval]:
    """The figures of text to image and of image to text; takes the arguments of `text_to_image_ranks`."""
    t2i, i2t = text_to_image_ranks(images, texts, image_of), image_to_text_ranks(images, texts, image_of)
    return summarise(t2i), summarise(i2t)


def fold_size(n_images: int, n_folds: int) -> int:
    """The number of images in a fold.

    Raises:
        InputError: The images can't be split into folds of equal size.
    """
    size, rest = divmod(n_images, n_folds)
    if rest or not size:
        advice = f"take `-n {size * n_folds}`, or choose other --folds" if size else "choose fewer --folds"
        raise InputError(f"{n_images} pictures can't be split into {n_folds} folds of equal size: {advice}")
    return size


def in_folds(images: Vectors, texts: Vectors, image_of: NDArray[np.int64], n_folds: int) -> tuple[Retrieval, Retrieval]:
    """The means of both directions over folds of consecutive images, each ranked separately.

    Raises:
        InputError: The images can't be split into folds of equal size.

    Source: Faghri et al. 2017 (VSE++), section 4: COCO's 1K figures are means over five folds of 1,000.
    """
    size = fold_size(len(images), n_folds)
    t2i, i2t = [], []
    for fold in range(n_folds):
        in_fold = image_of // size == fold
        part = images[fold * size : (fold + 1) * size]
        of_texts, of_images = both_ways(part, texts[in_fold], image_of[in_fold] - fold * size)
        t2i.append(of_texts)
        i2t.append(of_images)
    return _mean(t2i), _mean(i2t)


def _mean(folds: Sequence[Retrieval]) -> Retrieval:
    return Retrieval(
        recall={k: float(np.mean([fold.recall[k] for fold in folds])) for k in folds[0].recall},
        median_rank=float(np.mean([fold.median_rank for fold in folds])),
        mean_rank=float(np.mean([fold.mean_rank for fold in folds])),
        mrr=float(np.mean([fold.mrr for fold in folds])),
    )


def figures(t2i: Retrieval, i2t: Retrieval) -> dict[str, Any]:
    """`{"t2i", "i2t", "rsum"}`, JSON-ready."""
    return {"t2i": t2i.to_dict(), "i2t": i2t.to_dict(), "rsum": rsum(t2i, i2t)}


def measure(images: Vectors, texts: Vectors, image_of: NDArray[np.int64]) -> dict[str, Any]:
    """Recall in both directions and rsum, JSON-ready; takes the arguments of `text_to_image_ranks`."""
    return figures(*both_ways(images, texts, image_of))


def rank_in_answer(answer: Sequence[tuple[str, float]], relevant: set[str]) -> int:
    """The best rank of a relevant id among (id, score) pairs, or `NOT_FOUND`.

    The order of the pairs is ignored. Ties are pessimistic, as in the other functions: other ids with the same score
    rank first, except those beyond the end of the answer, which are unknown.

    Example:
        >>> rank_in_answer([("a", 0.9), ("b", 0.5), ("c", 0.5)], {"b"})
        3
    """
    best = max((score for name, score in answer if name in relevant), default=None)
    if best is None:
        return NOT_FOUND
    return 1 + sum(score >= best for name, score in answer if name not in relevant)
