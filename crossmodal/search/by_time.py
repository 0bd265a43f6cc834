"""Orders results by time, among those that fit the query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossmodal.core.errors import InputError
from crossmodal.core.types import Document
from crossmodal.relevance.rules import FITS_FROM

if TYPE_CHECKING:
    from crossmodal.search.query import Order
    from crossmodal.search.results import Match

_YEAR = re.compile(r"\d{4}(?!\d)", re.ASCII)
N_CANDIDATES = 1_000
"""The best matches of a query, of each modality, among which those that fit are ordered by time."""


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
                "not calibrated (run `python app.py -t calibrate`; it needs at least 20 pictures), or was searched by "
                "words alone (remove `fusion`)"
            )
        if match.relevance >= threshold:
            fitting.append(match)
    dated = [match for match in fitting if taken(match.document)]
    dated.sort(key=lambda match: taken(match.document), reverse=order == "newest")
    undated = [match for match in fitting if not taken(match.document)]
    return dated + undated, TimeOrder(threshold, len(matches), len(fitting))


def taken(document: Document) -> str:
    """The local time at which a picture was taken, as YYYY-MM-DDTHH:MM:SS or its beginning; empty if it is unknown."""
    value = document.tags.get("taken")
    return value[:19] if isinstance(value, str) and _YEAR.match(value) else ""
