"""Order and cut."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def best(candidates: Iterable[T], k: int, rank_by: Callable[[T], tuple[float, str]]) -> list[T]:
    """The k candidates of the highest score; equal scores in the order of their ids.

    Args:
        candidates: In any order.
        k: How many at most.
        rank_by: Gives the (score, id) of a candidate.

    Example:
        >>> best([("b", 0.5), ("a", 0.5), ("c", 0.9)], 2, lambda x: (x[1], x[0]))
        [('c', 0.9), ('a', 0.5)]
    """

    def order(candidate: T) -> tuple[float, str]:
        score, name = rank_by(candidate)
        return -score, name

    return heapq.nsmallest(k, candidates, key=order)
