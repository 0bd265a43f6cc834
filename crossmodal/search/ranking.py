"""Ranks the candidates of a query by score."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from crossmodal.core.types import MODALITIES, Modality

T = TypeVar("T")
Cosines = Mapping[Modality, Mapping[int, float]]
"""The retrieved documents of a query: by modality, the cosines by key."""


@dataclass(frozen=True)
class Ranked:
    """A ranked document before it is read from the store.

    Attributes:
        key: Its key in the store.
        scores: `cosine`; in a search by words also `fused`, which determines the rank, `sparse`, `bm25` and `text`, the
            score of the text in the picture.
        why: The contribution of each matching word to the score; a word that stands in the picture is in double quotes.
        read: The words of the query, if all of them stand in the picture.
    """

    key: int
    scores: dict[str, float]
    why: dict[str, float] = field(default_factory=dict)
    read: tuple[str, ...] = ()


def best(candidates: Iterable[T], k: int, rank_by: Callable[[T], tuple[float, str]]) -> list[T]:
    """The k candidates with the highest scores, best first; ties by ascending id.

    Args:
        candidates: The candidates, in any order.
        k: Maximum number of candidates to return.
        rank_by: Returns the (score, id) of a candidate.

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

    Scores of captions and of pictures are not comparable, so each modality is ranked separately.
    """
    return [
        Ranked(key, {"cosine": cosine})
        for modality in MODALITIES
        for key, cosine in best(cosines.get(modality, {}).items(), top_k, lambda pair: (pair[1], f"{pair[0]:020d}"))
    ]
