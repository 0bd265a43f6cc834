"""The exact nearest neighbours of every picture by a layer and a metric, and how many are of its class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.evaluation.classes import DEPTH, precision_at, search_score
from crossmodal.experiment.metrics import Features, Metric, Space

KS = (1, 5, 10, 15)
BLOCK_BYTES = 32 << 20
"""Size of a block of distances in float64; about six times as much is in use while it is ranked."""

Classes = NDArray[np.int64]  # (n,) index of each picture's class


@dataclass(frozen=True)
class Neighbours:
    """The nearest other pictures of each picture, and what they say about its class.

    Attributes:
        nearest: (n, k) int64, k = min(15, n - 1), nearest first; equally near ones by index. Distances are compared
            after rounding to float32, so that noise of the computation does not decide.
        distances: (n, k) float32.
        hits: (n, 15) whether the neighbour is of the picture's class; False beyond k, and all False without classes.
        average_precision: (n,) of the ranking of all other pictures; NaN for a picture that is alone in its class.
    """

    nearest: NDArray[np.int64]
    distances: NDArray[np.float32]
    hits: NDArray[np.bool_]
    average_precision: NDArray[np.float64]


def neighbours(features: Features, metric: Metric, class_of: Classes | None) -> Neighbours:
    """The neighbours of each picture among the others; itself is left out, a duplicate is not.

    Memory beside the features is bounded by `BLOCK_BYTES`, for any number of pictures.

    Args:
        features: (n, dim), not normalised.
        metric: The distance.
        class_of: The classes, or None if there are none.

    Raises:
        InputError: A feature is not finite.
    """
    space, n = Space(metric, features), len(features)
    k = min(DEPTH, n - 1)
    nearest, distances = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    hits, precision = np.zeros((n, DEPTH), np.bool_), np.full(n, np.nan)
    height = max(1, BLOCK_BYTES // (8 * n))
    for start in range(0, n, height):
        part = slice(start, min(start + height, n))
        block = space.distances_among(part).astype(np.float32)
        order = ranked(block, itself=np.arange(part.start, part.stop))
        nearest[part] = order[:, :k]
        distances[part] = np.take_along_axis(block, nearest[part], axis=1)
        if class_of is not None:
            same = class_of[order] == class_of[part, None]
            hits[part, :k] = same[:, :k]
            precision[part] = average_precision(same)
    return Neighbours(nearest, distances, hits, precision)


def ranked(distances: NDArray[np.float32], itself: NDArray[np.int64]) -> NDArray[np.int64]:
    """The indices (m, n - 1) of the other pictures by distance, equal distances by index.

    Args:
        distances: (m, n).
        itself: (m,) the index of the query, which is left out.
    """
    order = np.argsort(distances, axis=1, kind="stable")
    return np.asarray(order[order != itself[:, None]].reshape(len(order), -1))


def average_precision(same: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean of the precisions at the ranks of the relevant pictures.

    Args:
        same: (m, n) whether the picture at that rank is relevant.

    Returns:
        (m,) in [0, 1], NaN if no picture is relevant.

    Example:
        >>> average_precision(np.array([[True, False, True]])).round(3)
        array([0.833])
    """
    ranks = np.arange(1, same.shape[1] + 1)
    n_relevant = same.sum(axis=1)
    total = (np.cumsum(same, axis=1, dtype=np.float32) / ranks * same).sum(axis=1, dtype=np.float64)
    return np.where(n_relevant > 0, total / np.maximum(n_relevant, 1), np.nan)


def summary(found: Neighbours, class_of: Classes | None, n_classes: int) -> dict[str, Any]:
    """The means over all pictures that are not alone in their class, and over those of each class, JSON-ready.

    Returns:
        `{"search_score", "search_score_std", "precision", "map", "classes"}`; None and no classes if there are none.
    """
    is_query = ~np.isnan(found.average_precision)
    if class_of is None or not is_query.any():
        return {"search_score": None, "search_score_std": None, "precision": None, "map": None, "classes": []}
    scores = search_score(found.hits)
    return {
        "search_score": round(float(scores[is_query].mean()), 3),
        "search_score_std": round(float(scores[is_query].std()), 3),
        "precision": {str(k): round(float(precision_at(found.hits, k)[is_query].mean()), 5) for k in KS},
        "map": round(float(found.average_precision[is_query].mean()), 5),
        "classes": [_of_class(found, scores, is_query & (class_of == number)) for number in range(n_classes)],
    }


def _of_class(found: Neighbours, scores: NDArray[np.float64], members: NDArray[np.bool_]) -> dict[str, float] | None:
    """The means of a class; None if it has one picture."""
    if not members.any():
        return None
    return {
        "search_score": round(float(scores[members].mean()), 3),
        "map": round(float(found.average_precision[members].mean()), 5),
    }


def scores_of(found: Neighbours) -> list[float | None]:
    """The search score of each picture in percent; None for one that is alone in its class, or without classes."""
    return [
        None if np.isnan(precision) else round(float(score), 2)
        for score, precision in zip(search_score(found.hits), found.average_precision, strict=True)
    ]
