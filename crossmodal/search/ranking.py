"""Order and cut: the best candidates of a query, and the page of them that is returned."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from crossmodal.core.types import MODALITIES, Modality

T = TypeVar("T")
Cosines = Mapping[Modality, Mapping[int, float]]
"""What retrieval found for one query: by modality, the cosines of documents by key."""


@dataclass(frozen=True)
class Ranked:
    """A ranked document before it is looked up in the store.

    Attributes:
        key: Its key in the store.
        scores: `cosine`; for a search by words also `fused`, which it is ranked by, `sparse` and `bm25`.
        why: The words it was found by and what each contributes to its score.
    """

    key: int
    scores: dict[str, float]
    why: dict[str, float] = field(default_factory=dict)


def best(candidates: Iterable[T], k: int, rank_by: Callable[[T], tuple[float, str]]) -> list[T]:
    """The k candidates of the highest score; candidates of equal score by ascending id.

    Args:
        candidates: In any order.
        k: The most candidates to return.
        rank_by: Gives the (score, id) of a candidate.

    Example:
        >>> best([("b", 0.5), ("a", 0.5), ("c", 0.9)], 2, lambda x: (x[1], x[0]))
        [('c', 0.9), ('a', 0.5)]
    """

    def order(candidate: T) -> tuple[float, str]:
        score, name = rank_by(candidate)
        return -score, name

    return heapq.nsmallest(k, candidates, key=order)


def by_cosine(cosines: Cosines, top_k: int) -> list[Ranked]:
    """The `top_k` nearest documents of each modality, pictures before captions, ties by ascending key.

    Scores of captions and of pictures are not comparable, so each modality is ranked by itself.
    """
    return [
        Ranked(key, {"cosine": cosine})
        for modality in MODALITIES
        for key, cosine in best(cosines.get(modality, {}).items(), top_k, lambda pair: (pair[1], f"{pair[0]:020d}"))
    ]
