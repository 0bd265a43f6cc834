"""Outcomes of single queries, from which the confidence intervals and tests of `resampling` are computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossmodal.core.types import Vectors
from crossmodal.evaluation.classes import Hits, precision_at, search_score
from crossmodal.evaluation.recall import CHUNK, KS, NOT_FOUND, Ranks

DEPTH = 1000
"""Results of a query that count for average precision, as is usual with TREC runs."""


@dataclass(frozen=True)
class Outcome:
    """A measure as sums over clusters of queries, which are resampled together.

    Attributes:
        totals: (n_clusters,) sum of the weighted values of a cluster's queries.
        weights: (n_clusters,) sum of the weights of a cluster's queries.
    """

    totals: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, values: ArrayLike, cluster: NDArray[np.int64], weights: ArrayLike | None = None) -> Outcome:
        """The outcome of queries; `cluster` (n,) numbers the cluster of each, `weights` (n,) are 1 by default."""
        weight = np.ones(len(cluster)) if weights is None else np.asarray(weights, np.float64)
        totals = np.bincount(cluster, np.asarray(values, np.float64) * weight)
        return cls(totals.astype(np.float64), np.bincount(cluster, weight).astype(np.float64))

    @property
    def value(self) -> float:
        """The mean over all queries."""
        return float(self.totals.sum() / self.weights.sum())


@dataclass(frozen=True)
class Ranking:
    """Candidates to rank for queries by the inner product; those of the group of a query are relevant to it.

    Attributes:
        direction: `t2i`, `i2t`, or `i2i` for class folders, in which query i is not a candidate for itself.
        queries: (n, dim) unit vectors.
        candidates: (m, dim) unit vectors.
        query_group: (n,) the group of each query.
        candidate_group: (m,) the group of each candidate.
        chunk: Queries scored at once. The last bit of a score depends on it.
    """

    direction: str
    queries: Vectors
    candidates: Vectors
    query_group: NDArray[np.int64]
    candidate_group: NDArray[np.int64]
    chunk: int = CHUNK

    def scored(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        """Scores (chunk, m) of successive queries, and which candidates are relevant; a query itself scores -inf."""
        for start in range(0, len(self.queries), self.chunk):
            scores = self.queries[start : start + self.chunk] @ self.candidates.T
            relevant = self.query_group[start : start + self.chunk, None] == self.candidate_group[None, :]
            if self.direction == "i2i":
                rows = np.arange(len(scores))
                scores[rows, start + rows], relevant[rows, start + rows] = -np.inf, False
            yield scores, relevant


def average_precisions(ranking: Ranking, depth: int = DEPTH) -> NDArray[np.float64]:
    """The average precision of each query over its `depth` best results; 0 for a query without relevant candidates.

    Returns:
        (n,) in [0, 1]. Ties are pessimistic: other candidates with the same score rank first.

    Source: Buckley and Voorhees 2000, "Evaluating evaluation measure stability", SIGIR; trec_eval's `map`.

    Example:
        >>> line = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
        >>> average_precisions(Ranking("t2i", line[:1], line, np.array([7]), np.array([7, 1, 7]))).round(3)
        array([0.833])
    """
    means = [
        _average_precision(scores[of_query], scores[~of_query], depth)
        for block, relevant in ranking.scored()
        for scores, of_query in zip(block, relevant, strict=True)
    ]
    return np.array(means, np.float64)


def _average_precision(relevant: NDArray[np.float32], others: NDArray[np.float32], depth: int) -> float:
    ascending = np.sort(relevant)
    n_not_better = np.searchsorted(ascending, others, side="right")  # relevant ones that each other precedes
    before = np.bincount(n_not_better, minlength=len(ascending) + 1)[:0:-1].cumsum()
    places = np.arange(1, len(ascending) + 1)
    ranks = before + places
    return float(np.sum((places / ranks)[ranks <= depth]) / max(1, len(ascending)))


def of_ranks(direction: str, ranks: Ranks, cluster: NDArray[np.int64]) -> dict[str, Outcome]:
    """The outcomes of ranks, `t2i_r1` to `t2i_r10` and `t2i_mrr`; without the latter if a rank is `NOT_FOUND`."""
    values = {f"r{k}": ranks <= k for k in KS} | ({} if (ranks == NOT_FOUND).any() else {"mrr": 1 / ranks})
    return {f"{direction}_{name}": Outcome.of(of_queries, cluster) for name, of_queries in values.items()}


def of_captions(t2i: Ranks, i2t: Ranks, rankings: list[Ranking]) -> dict[str, Outcome]:
    """The outcomes of both directions by name, `t2i_r1` to `i2t_map`, clustered by image.

    Args:
        t2i: (m,) rank of each text's image.
        i2t: (n,) rank of each image's best text.
        rankings: Those of both directions, text to image first.
    """
    outcomes: dict[str, Outcome] = {}
    for ranks, ranking in zip((t2i, i2t), rankings, strict=True):
        outcomes |= of_ranks(ranking.direction, ranks, ranking.query_group)
        outcomes[f"{ranking.direction}_map"] = Outcome.of(average_precisions(ranking), ranking.query_group)
    return outcomes


def of_hits(hits: Hits, class_of: NDArray[np.int64]) -> dict[str, Outcome]:
    """The outcomes `i2i_p1` to `i2i_p10` and `i2i_search_score`; the only image of a class is not a query."""
    values = {f"p{k}": precision_at(hits, k) for k in (1, 5, 10)} | {"search_score": search_score(hits)}
    return {f"i2i_{name}": _of_queries(of_images, class_of) for name, of_images in values.items()}


def of_classes(hits: Hits, ranking: Ranking) -> dict[str, Outcome]:
    """The outcomes of `of_hits`, and `i2i_map`."""
    mean = _of_queries(average_precisions(ranking), ranking.query_group)
    return {**of_hits(hits, ranking.query_group), "i2i_map": mean}


def _of_queries(values: NDArray[np.float64], class_of: NDArray[np.int64]) -> Outcome:
    is_query = np.bincount(class_of)[class_of] > 1
    return Outcome.of(values[is_query], np.arange(int(is_query.sum())))
