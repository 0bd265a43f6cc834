"""Batches of the items of an iterable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], at_most: int) -> Iterator[list[T]]:
    """The items in lists of `at_most`, the last one of fewer; each is read when it is asked for.

    >>> list(batched("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(items)
    while batch := list(islice(rest, at_most)):
        yield batch
