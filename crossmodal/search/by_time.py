"""Orders results by time, among those that fit the query."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from crossmodal.core.errors import InputError
from crossmodal.relevance.rules import FITS_FROM

if TYPE_CHECKING:
    from crossmodal.search.query import Order
    from crossmodal.search.results import Match

T = TypeVar("T")
_YEAR = re.compile(r"\d{4}(?!\d)", re.ASCII)


@dataclass(frozen=True)
class TimeOrder:
    """What an order by time was made from.

    Attributes:
        threshold: The lowest relevance of a match that fits.
        candidates: Number of matches that were compared with it; those that were retrieved.
        fitting: Number of these that fit.
    """

    threshold: float
    candidates: int
    fitting: int


def by_time(matches: Sequence[Match], order: Order, least: float | None) -> tuple[list[Match], TimeOrder]:
    """The matches that fit, by the tag `taken`; matches without it are last, ties keep their order.

    Args:
        matches: The matches, best first.
        order: `newest` or `oldest`, the first ones.
        least: The lowest relevance of a match that fits; `FITS_FROM` if None.

    Raises:
        InputError: A match has no relevance.
    """
    threshold = FITS_FROM if least is None else least
    fitting = []
    for match in matches:
        if match.relevance is None:
            raise InputError(
                f"order: {order} sorts the results that fit, and not every result has a relevance. The collection is "
                "not calibrated (run the command `calibrate`; it needs at least 20 pictures), or was searched by "
                "words alone (remove `fusion`)"
            )
        if match.relevance >= threshold:
            fitting.append(match)
    in_order = ordered(fitting, order, lambda match: match.document.tags)
    return in_order, TimeOrder(threshold, len(matches), len(fitting))


def ordered(items: Iterable[T], order: Order, tags_of: Callable[[T], Mapping[str, Any]]) -> list[T]:
    """The items by the tag `taken`, `newest` or `oldest` first; those without it are last, ties keep their order."""
    timed = [(taken(tags_of(item)), item) for item in items]
    dated = [pair for pair in timed if pair[0]]
    dated.sort(key=lambda pair: pair[0], reverse=order == "newest")
    return [item for _, item in dated] + [item for time, item in timed if not time]


def taken(tags: Mapping[str, Any]) -> str:
    """The local time at which a picture was taken, as YYYY-MM-DDTHH:MM:SS or its beginning; empty if it is unknown."""
    value = tags.get("taken")
    return value[:19] if isinstance(value, str) and _YEAR.match(value) else ""
