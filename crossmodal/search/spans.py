"""Spans of days: months, seasons and holidays of a year."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
"""The month in which each season begins, in the northern half; that of winter is in the year before."""


class Span(NamedTuple):
    """Days from `after` up to but not including `before`; None for no bound."""

    after: date | None
    before: date | None


def day_span(day: date, n: int = 1) -> Span:
    """One day, or n days from it on."""
    return Span(day, day + timedelta(n))


def month_span(year: int, month: int, n: int = 1) -> Span:
    """A month, or n months from it on."""
    end = year * 12 + month - 1 + n
    return Span(date(year, month, 1), date(end // 12, end % 12 + 1, 1))


def years_span(first: int, n: int = 1) -> Span:
    """A year, or n years from it on."""
    return Span(date(first, 1, 1), date(first + n, 1, 1))


def season_span(name: str, year: int) -> Span:
    """The season of a year; a winter begins in December of the year before."""
    month = SEASONS[name.lower()]
    return month_span(year - (month == 12), month, 3)


def holiday_span(name: str, year: int) -> Span:
    """The days of a holiday, as it is written: `Christmas`, `new year's eve`."""
    key = re.sub(r"['’\s]", "", name.lower())
    if key == "christmaseve":
        return day_span(date(year, 12, 24))
    if key in ("christmas", "christmasday", "xmas"):
        return day_span(date(year, 12, 24), 3)
    if key.startswith("newyear"):
        if key.endswith("eve"):
            return day_span(date(year, 12, 31))
        return day_span(date(year, 1, 1)) if key.endswith("day") else day_span(date(year - 1, 12, 31), 2)
    if key == "halloween":
        return day_span(date(year, 10, 31))
    if key == "easter":
        return day_span(_easter(year) - timedelta(2), 4)
    if key == "thanksgiving":
        first = date(year, 11, 1)
        return day_span(first + timedelta((3 - first.weekday()) % 7 + 21))
    return day_span(date(year, 2, 14))


def _easter(year: int) -> date:
    """Easter Sunday. Source: Anonymous 1876 (Nature 13, p. 487), the Gregorian calendar.

    >>> str(_easter(2021))
    '2021-04-04'
    """
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    h = (19 * a + b - d - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    i, k = divmod(c, 4)
    weekday = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * weekday) // 451
    month, day = divmod(h + weekday - 7 * m + 114, 31)
    return date(year, month, day + 1)


def most_recent(of_year: Callable[[int], Span], today: date, *, is_over: bool) -> Span:
    """The most recent span that has begun, or that is over."""
    for year in (today.year + 1, today.year, today.year - 1, today.year - 2):
        span = of_year(year)
        bound = span.before if is_over else span.after
        assert bound is not None
        if bound <= today:
            return span
    raise AssertionError("each occurs every year")


def monday_of(today: date) -> date:
    """The Monday of a day's week."""
    return today - timedelta(today.weekday())
