"""Newest and oldest first: exactly the results that fit, in the order of their dates, whatever the calibration."""

from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_relevance_properties import RULES, VECTOR

from crossmodal.core.errors import InputError
from crossmodal.core.types import Document
from crossmodal.relevance.rules import FITS_FROM, Rule
from crossmodal.search.by_time import TimeOrder, by_time
from crossmodal.search.query import Order, Page
from crossmodal.search.results import Match, cut

TIMES = st.one_of(
    st.none(),
    st.sampled_from([2023, "", "unknown", "20230", "last summer"]),
    st.datetimes(min_value=datetime(1900, 1, 1)).map(lambda t: t.isoformat("T", "seconds")),
    st.sampled_from(["2023-07-01T12:00:00+01:00", "2023-07-01T12:00:00", "2023-07-01T12:00:00-08:00"]),
)
ORDERS = st.sampled_from(["newest", "oldest"])
PICTURES = st.lists(st.tuples(st.floats(-1, 1), TIMES), max_size=20)


def is_date(time: object) -> bool:
    return isinstance(time, str) and "T" in time


def ranked(rule: Rule, query: np.ndarray, pictures: list[tuple[float, object]]) -> list[Match]:
    """Matches as a search ranks them, with the relevance by a rule."""
    best = sorted(pictures, key=lambda picture: -picture[0])
    relevances = rule.of(query, np.array([score for score, _ in best])).tolist()
    return [
        Match(Document(str(n), "image", tags={"taken": time}), {"cosine": score, "relevance": relevance}, {})
        for n, ((score, time), relevance) in enumerate(zip(best, relevances, strict=True))
    ]


@given(RULES, VECTOR, PICTURES, ORDERS, st.one_of(st.none(), st.floats(0, 1)))
def test_what_fits_by_date(
    rule: Rule, query: np.ndarray, pictures: list[tuple[float, object]], order: Order, least: float | None
) -> None:
    matches = ranked(rule, query, pictures)
    ordered, made = by_time(matches, order, least)
    threshold = FITS_FROM if least is None else least
    fitting = [match for match in matches if (match.relevance or 0) >= threshold]
    assert sorted(match.document.id for match in ordered) == sorted(match.document.id for match in fitting)
    assert made == TimeOrder(threshold, len(matches), len(fitting))
    times = [match.document.tags["taken"] for match in ordered]
    dated = [time[:19] for time in times if is_date(time)]
    assert dated == sorted(dated, reverse=order == "newest")
    assert all(is_date(time) for time in times[: len(dated)]), "pictures without a date are last"
    for one, other in pairwise(ordered):
        if not is_date(other.document.tags["taken"]):
            break
        if str(one.document.tags["taken"])[:19] == str(other.document.tags["taken"])[:19]:
            assert int(one.document.id) < int(other.document.id), "ties keep the order by relevance"


@given(RULES, VECTOR, PICTURES, ORDERS, st.integers(1, 5))
def test_pages_have_no_gap(
    rule: Rule, query: np.ndarray, pictures: list[tuple[float, object]], order: Order, size: int
) -> None:
    whole, _ = by_time(ranked(rule, query, pictures), order, None)
    pages = [cut(whole, Page(size, offset)) for offset in range(0, len(whole) + 1, size)]
    assert [match for page, _ in pages for match in page] == whole
    assert [more for _, more in pages] == [size * (n + 1) < len(whole) for n in range(len(pages))]


def test_without_a_relevance_nothing_is_known_to_fit() -> None:
    with pytest.raises(InputError, match=r"order: newest sorts the results that fit, .* not calibrated"):
        by_time([Match(Document("a", "image"), {"cosine": 0.5}, {})], "newest", None)
