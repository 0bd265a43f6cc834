r"""Finds dates in the words of a query: "July 2023", "last winter", "christmas 2020", "3 days ago".

    date    = [ "in" | "on" | "from" | "during" | "at" | "around" ], [ "the" ], when
            | ( "since" | "after" | "before" | "until" ), [ "the" ], ( dated | recent ) ;
    when    = dated | recent | range ;
    dated   = year | month year | day month year | month day year | 2023-07 | 2023-07-01 | 24.12.2023
            | season year | "winter 2019/20" | holiday year | decade ;
    recent  = "today" | "yesterday" | "day before yesterday" | "this morning" | "last night"
            | ( "last" | "this" ), ( "week" | "weekend" | "month" | "year" | month | season | holiday )
            | ( "last" | "past" ), number, ( "days" | "weeks" | "months" | "years" )
            | number, unit, "ago" | "last" weekday | ( "on" | "since" ) weekday | "in" month | "on" day month ;
    range   = "from" | "between", year, "to" | "and", year | year "-" year | "from" month "to" month year ;

Rules that keep it from taking other words:

- A form without a year must end its clause: at the end of the text, or before punctuation, a preposition or another
  phrase. So "march of penguins", "may flowers" and "today show" are no dates.
- A month's name alone is no date; without a year it needs "in", "last", "this" or a day.
- A year alone must end the text or its clause, be from 1900 up to this year, and not follow a word that takes a number
  ("class of 2019", "room 2012").
- A day that does not exist, such as 30.02.2021, is left alone with its month and year.
- A range of months may begin in the year before: "december to february 2020".
- A text with two dates is left alone, since it is not clear what they mean together.

Without a year, the most recent one is meant that has begun, with "last" the most recent one that is over. Seasons are
those of the northern half: spring begins in March, and the winter of a year in December of the year before.

The file is longer than 300 lines because it has all forms of a date.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

from crossmodal.search.spans import (
    MONTHS,
    SEASONS,
    Span,
    day_span,
    holiday_span,
    monday_of,
    month_span,
    most_recent,
    season_span,
    years_span,
)
from crossmodal.search.spoken_text import END, OPAQUE, START, WHOLE, take


class FoundDate(NamedTuple):
    """A date phrase and its place in the text."""

    start: int
    end: int
    span: Span


_SHORT = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9, "oct": 10,
          "nov": 11, "dec": 12}  # fmt: skip
_MONTH_NUMBERS = {name.lower(): number for number, name in enumerate(MONTHS, 1)} | _SHORT
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = {word: n for n, word in enumerate(
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), 1
)} | {"a": 1, "an": 1, "couple": 2, "a couple of": 2}  # fmt: skip

_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTH_NUMBERS, key=len, reverse=True))})\b\.?"
_SEASON = rf"(?P<season>{'|'.join(SEASONS)})"
_HOLIDAY = (
    r"(?P<holiday>christmas\s+eve|christmas(?:\s+day)?|xmas|new\s+year['’]?s?\s+eve|new\s+year(?:['’]?s)?(?:\s+day)?"
    r"|hallowe['’]?en|easter|thanksgiving|valentine['’]?s(?:\s+day)?)"
)
_WEEKDAY = rf"(?P<weekday>{'|'.join(_WEEKDAYS)})"
_UNIT = r"(?P<unit>day|week|month|year)s?"
_COUNT = rf"(?P<count>\d{{1,3}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_LEAD = (
    r"(?:(?P<limit>since|after|before|until|till)\s+|(?:(?:back\s+)?in|on|from|during|at|around|over)\s+)?(?:the\s+)?"
)
_LIMIT = r"(?:(?:from|(?P<limit>since|after|before|until|till))\s+)?"
_IN = r"(?:back\s+in|in|from|during)\s+"
_NUMBERED = (
    r"(?<!\d )(?<!class of )(?<!room )(?<!route )(?<!number )(?<!no )(?<!and )(?<!or )(?<!to )(?<!windows )(?<!office )"
    r"(?<!peugeot )(?<!bmw )(?<!mazda )(?<!boeing )(?<!area )(?<!page )(?<!flight )(?<!bus )(?<!size )"
    r"(?<!highway )(?<!apollo )(?<!gate )(?<!model )(?<!blade runner )(?<!cyberpunk )(?<!block )(?<!street )(?<!expo )"
)
_DASH = r"\s*(?:-|–|to|until|till|through)\s*"
_LETTERS = str.maketrans("ıİſK", "iisk")
"""The letters that also match i, s and k when the case is ignored."""
Reading = Callable[[re.Match[str], date], Span | None]


def find_dates(text: str, today: date) -> list[FoundDate]:
    """The date phrases of a text, of which none overlap, in the order of the text.

    >>> found = find_dates("snow in Norway last winter", date(2024, 6, 15))
    >>> [(one.start, one.end, str(one.span.after), str(one.span.before)) for one in found]
    [(15, 26, '2023-12-01', '2024-03-01')]
    """
    found: list[FoundDate] = []
    text = text.translate(_LETTERS)
    for pattern, reading in _FORMS:
        for match in pattern.finditer(text):
            try:
                span = _read(reading, match, today)
            except ValueError:  # no such day; its month and year alone would be another date
                text = take(text, *match.span(), OPAQUE)
                continue
            if span is not None and not any(match.start() < one.end and one.start < match.end() for one in found):
                found.append(FoundDate(match.start(), match.end(), _limited(span, match.groupdict().get("limit"))))
                text = take(text, *match.span(), ",")
    return sorted(found)


def _read(reading: Reading, match: re.Match[str], today: date) -> Span | None:
    span = reading(match, today)
    return None if span is None or (span.after is not None and span.after > today) else span


def _limited(span: Span, limit: str | None) -> Span:
    """The span of `since July 2023` and the like."""
    match (limit or "").lower():
        case "since":
            return Span(span.after, None)
        case "after":
            return Span(span.before, None)
        case "before":
            return Span(None, span.after)
        case "until" | "till":
            return Span(None, span.before)
    return span


# -- forms


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else _NUMBERS[" ".join(text.lower().split())]


def _month_of(match: re.Match[str], group: str = "month") -> int:
    return _MONTH_NUMBERS[match[group].lower()]


def _ymd(m: re.Match[str], _: date) -> Span:
    return day_span(date(int(m["year"]), int(m["m"]), int(m["d"])))


def _whole_year(m: re.Match[str], _: date) -> Span:
    return years_span(int(m["year"]))


def _season_of_year(m: re.Match[str], _: date) -> Span:
    return season_span(m["season"], int(m["year"]))


def _ym(m: re.Match[str], _: date) -> Span:
    return month_span(int(m["year"]), int(m["m"]))


def _slashed(m: re.Match[str], _: date) -> Span | None:
    """The day of 24/12/2021 or 12/24/2021, None if it may be either."""
    first, second = int(m["first"]), int(m["d"])
    if (first > 12) == (second > 12):
        return None
    return day_span(date(int(m["year"]), min(first, second), max(first, second)))


def _last_or_this(of_year: Callable[[re.Match[str], int], Span]) -> Reading:
    return lambda m, today: most_recent(lambda year: of_year(m, year), today, is_over=m["which"].lower() != "this")


def _months_range(m: re.Match[str], _: date) -> Span | None:
    first, last = _month_of(m, "first"), _month_of(m, "month")
    return None if first == last else month_span(int(m["year"]) - (first > last), first, (last - first) % 12 + 1)


def _years_range(m: re.Match[str], _: date) -> Span | None:
    first, last = int(m["first"]), int(m["year"])
    return years_span(first, last - first + 1) if first < last else None


def _winter(m: re.Match[str], _: date) -> Span | None:
    year, second = int(m["year"]), int(m["second"][-2:])
    return season_span("winter", year + 1) if (year + 1) % 100 == second else None


def _decade(m: re.Match[str], today: date) -> Span:
    short = int(m["decade"][-2:])
    if len(m["decade"]) == 4:
        return years_span(int(m["decade"]), 10)
    return years_span((2000 if short <= today.year % 100 else 1900) + short, 10)


def _this_or_last_unit(m: re.Match[str], today: date) -> Span:
    is_last, unit = m["which"].lower() != "this", m["unit"].lower()
    if unit == "week":
        return day_span(monday_of(today) - timedelta(7 * is_last), 7)
    if unit == "weekend":
        saturday = monday_of(today) + timedelta(5)
        return day_span(saturday - timedelta(7 if is_last or saturday > today else 0), 2)
    if unit == "year":
        return years_span(today.year - is_last)
    return _months_before(today, int(is_last))


def _months_before(today: date, n: int) -> Span:
    month = today.year * 12 + today.month - 1 - n
    return month_span(month // 12, month % 12 + 1)


def _last_n(m: re.Match[str], today: date) -> Span | None:
    n, unit, end = _number(m["count"]), m["unit"].lower(), today + timedelta(1)
    if unit in ("day", "week"):
        return Span(end - timedelta(n * (7 if unit == "week" else 1)), end)
    month = end.year * 12 + end.month - 1 - n * (12 if unit == "year" else 1)
    first = month_span(month // 12, month % 12 + 1)
    assert first.after is not None
    assert first.before is not None
    return Span(min(first.after + timedelta(end.day - 1), first.before), end)


def _ago(m: re.Match[str], today: date) -> Span:
    n, unit = _number(m["count"]), m["unit"].lower()
    if unit == "day":
        return day_span(today - timedelta(n))
    if unit == "week":
        return day_span(monday_of(today) - timedelta(7 * n), 7)
    return _months_before(today, n) if unit == "month" else years_span(today.year - n)


def _weekday(m: re.Match[str], today: date) -> Span:
    """The most recent one; today's, if it is that day."""
    return day_span(today - timedelta((today.weekday() - _WEEKDAYS.index(m["weekday"].lower())) % 7))


def _relative_day(m: re.Match[str], today: date) -> Span:
    return day_span(today - timedelta(m["word"].lower() == "yesterday"))


def _day_of_year(m: re.Match[str], today: date) -> Span | None:
    month, day = _month_of(m), int(m["day"])
    if (month, day) == (2, 29):
        return None
    return most_recent(lambda year: day_span(date(year, month, day)), today, is_over=False)


def _form(pattern: str, reading: Reading, *, must_end: bool = True) -> tuple[re.Pattern[str], Reading]:
    return re.compile(rf"{START}{pattern}{END if must_end else WHOLE}", re.IGNORECASE), reading


_FIRST = _MONTH.replace("<month>", "<first>")
_FORMS = [
    _form(rf"{_LEAD}{_YEAR}[-/.](?P<m>0\d|1[0-2])[-/.](?P<d>[0-2]\d|3[01])", _ymd, must_end=False),
    _form(rf"{_LEAD}(?P<d>\d\d?)\.\s?(?P<m>\d\d?)\.\s?{_YEAR}", _ymd, must_end=False),
    _form(rf"{_LEAD}{_YEAR}-(?P<m>0[1-9]|1[0-2])", _ym, must_end=False),
    _form(rf"{_LEAD}(?P<first>\d\d?)/(?P<d>\d\d?)/{_YEAR}", _slashed, must_end=False),
    _form(rf"{_LEAD}(?P<m>0?[1-9]|1[0-2])/{_YEAR}", _ym, must_end=False),
    _form(
        rf"{_LEAD}{_DAY}\s+(?:of\s+)?{_MONTH},?\s+(?:of\s+)?{_YEAR}",
        lambda m, _: day_span(date(int(m["year"]), _month_of(m), int(m["day"]))), must_end=False,
    ),
    _form(
        rf"{_LEAD}{_MONTH}\s+(?:the\s+)?{_DAY},?\s+{_YEAR}",
        lambda m, _: day_span(date(int(m["year"]), _month_of(m), int(m["day"]))), must_end=False,
    ),
    _form(rf"(?:from\s+|between\s+)?{_FIRST}(?:{_DASH}|\s+and\s+){_MONTH},?\s+{_YEAR}", _months_range, must_end=False),
    _form(
        rf"{_LEAD}{_MONTH},?\s+(?:of\s+)?{_YEAR}", lambda m, _: month_span(int(m["year"]), _month_of(m)), must_end=False
    ),
    _form(rf"{_LEAD}winter\s+(?:of\s+)?{_YEAR}\s?[/–-]\s?(?P<second>(?:20|19)?\d\d)", _winter, must_end=False),
    _form(
        rf"{_LEAD}{_SEASON},?\s+(?:of\s+)?{_YEAR}", _season_of_year, must_end=False
    ),
    _form(
        rf"{_LEAD}{_HOLIDAY},?\s+(?:of\s+|in\s+)?{_YEAR}", lambda m, _: holiday_span(m["holiday"], int(m["year"])),
        must_end=False,
    ),
    _form(rf"(?:from|between)\s+{_YEAR.replace('<year>', '<first>')}(?:{_DASH}|\s+and\s+){_YEAR}", _years_range),
    _form(rf"{_YEAR.replace('<year>', '<first>')}{_DASH}{_YEAR}", _years_range),
    _form(rf"{_IN}(?:the\s+)?(?P<decade>(?:19|20)?\d0)['’]?s", _decade),
    _form(rf"(?P<limit>since|after|before|until|till)\s+{_YEAR}", _whole_year, must_end=False),
    _form(rf"{_NUMBERED}(?:{_IN})?{_YEAR}", _whole_year),
    _form(rf"{_LIMIT}(?:the\s+)?day\s+before\s+yesterday", lambda _, today: day_span(today - timedelta(2))),
    _form(rf"{_LIMIT}(?<!usa )(?P<word>yesterday|today)", _relative_day),
    _form(rf"{_LIMIT}this\s+(?:morning|afternoon|evening)", lambda _, today: day_span(today)),
    _form(rf"{_LIMIT}last\s+night", lambda _, today: day_span(today - timedelta(1), 2)),
    _form(
        rf"{_LEAD}(?P<which>last|this|past|previous)\s+"
        r"(?P<unit>week|weekend|month|year)", _this_or_last_unit,
    ),
    _form(rf"{_LEAD}(?:last|past|previous)\s+{_COUNT}\s+{_UNIT}", _last_n),
    _form(rf"{_LIMIT}{_COUNT}\s+{_UNIT}\s+ago", _ago),
    _form(
        rf"{_LEAD}(?P<which>last|this)\s+{_SEASON}", _last_or_this(lambda m, year: season_span(m["season"], year)),
    ),
    _form(
        rf"{_LEAD}(?P<which>last|this)\s+{_HOLIDAY}", _last_or_this(lambda m, year: holiday_span(m["holiday"], year)),
    ),
    _form(
        rf"{_LEAD}(?P<which>last|this(?!\s+(?:may|march)\b))\s+{_MONTH}",
        _last_or_this(lambda m, year: month_span(year, _month_of(m))),
    ),
    _form(rf"{_LIMIT}last\s+{_WEEKDAY}", lambda m, today: _weekday(m, today - timedelta(1))),
    _form(rf"(?:on|(?P<limit>since))\s+{_WEEKDAY}", _weekday),
    _form(rf"(?:on\s+|from\s+)?(?:the\s+)?{_DAY}\s+(?:of\s+)?{_MONTH}", _day_of_year),
    _form(rf"(?:on\s+|from\s+)?{_MONTH}\s+(?:the\s+)?{_DAY}", _day_of_year),
    _form(
        rf"(?:in|during)\s+{_MONTH}",
        lambda m, today: most_recent(lambda year: month_span(year, _month_of(m)), today, is_over=False),
    ),
]  # fmt: skip
