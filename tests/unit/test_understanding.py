"""Dates and places in the words of queries: what is understood, and what is left alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crossmodal.search.spans import MONTHS
from crossmodal.search.understanding import MAX_CHARACTERS, Understood, understand
from crossmodal.store.where import parse

DATA = Path(__file__).resolve().parents[1] / "data"
TODAY = date(2024, 6, 15)
HERE = {"lisbon", "portugal", "oslo", "norway", "kyoto", "japan", "munich", "bavaria", "germany"}
ALSO_HERE = {"paris", "china", "turkey", "georgia", "jordan", "france"}
NOT_UNDERSTOOD = ["my photos of the cat in 2020"]


def rows(name: str) -> list[list[str]]:
    lines = (DATA / name).read_text("utf8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


@dataclass(frozen=True)
class Collection:
    names: set[str]
    has_dates: bool = True

    @property
    def has_places(self) -> bool:
        return bool(self.names)

    def is_named(self, name: str) -> bool:
        return name.lower() in self.names


def understood(text: str, collection: Collection = Collection(HERE), today: date = TODAY) -> Understood:
    return understand(text, today, lambda: collection)


def meaning(text: str) -> tuple[str, str, str, str, str]:
    """The columns of phrases.tsv for a query."""
    found = understood(text)
    dates = [part for part in found.parts if part.kind == "date"]
    places = [part for part in found.parts if part.kind == "place"]
    assert len(dates) <= 1 >= len(places), text
    when = (dates[0].after or "", dates[0].before or "") if dates else ("", "")
    km = places[0].within_km if places else None
    return found.text, *when, (places[0].near or "") if places else "", "" if km is None else f"{km:g}"


def test_what_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    table = rows("phrases.tsv")
    for query, words, after, before, place, km in table:
        text, *when, where, radius = meaning(query)
        expected = (words.strip(), [after, before], place != "", f"{float(km):g}" if km else "")
        if (text, when, where != "", radius) != expected or not where.startswith(place):
            wrong.append(query)
    with capsys.disabled():
        print(f"\nunderstood: {len(table) - len(wrong)} of {len(table)} phrases")
    assert len(table) >= 200
    assert wrong == NOT_UNDERSTOOD, [(query, meaning(query)) for query in wrong]


def test_what_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    table = [query for (query,) in rows("phrases_left_alone.txt")]
    wrong = [(query, found) for query in table if (found := understood(query, Collection(HERE | ALSO_HERE))).parts]
    with capsys.disabled():
        print(f"\nleft alone: {len(table) - len(wrong)} of {len(table)} phrases")
    assert len(table) >= 100
    assert wrong == []
    assert all(understood(query).text == query for query in table)


@pytest.mark.parametrize("month", MONTHS)
def test_months_have_short_names(month: str) -> None:
    long = understood(f"snow, {month} 2021").parts[0].condition()
    for short in (month[:3], f"{month[:3]}.", *(["Sept"] if month == "September" else [])):
        assert understood(f"snow, {short} 2021").parts[0].condition() == long


@pytest.mark.parametrize(
    ("text", "is_place"),
    [
        ("A cat in Reading", True), ("A Cat In Reading", False), ("a cat in reading", False), ("a cat near Her", False),
    ],
)  # fmt: skip
def test_a_word_is_a_name_if_it_alone_has_a_capital(text: str, is_place: bool) -> None:
    assert bool(understood(text).parts) == is_place


def test_each_part_is_told() -> None:
    found = understood("a dog in Norway, 5 km from oslo, since May 2020")
    assert found.text == "a dog"
    assert [part.to_dict() for part in found.parts] == [
        {"kind": "place", "text": "in Norway", "near": "Norway"},
        {"kind": "place", "text": "5 km from oslo", "near": "Oslo, Norway", "latitude": 59.913, "longitude": 10.746,
         "within_km": 5.0},
        {"kind": "date", "text": "since May 2020", "after": "2020-05-01"},
    ]  # fmt: skip
    assert parse(found.condition()) == parse(
        "(tags.country = 'Norway' or tags.region = 'Norway') and near(59.913, 10.746, 5) and tags.taken >= '2020-05-01'"
    )


def test_without_dates_or_places_in_the_collection_they_are_words() -> None:
    text = "a dog in Norway 2021"
    assert understood(text, Collection(HERE, has_dates=False)).text == "a dog 2021"
    assert understood(text, Collection(set())).text == "a dog in Norway"
    assert understood(text, Collection(set(), has_dates=False)) == Understood(text)


def test_a_name_alone_needs_pictures_there() -> None:
    assert understood("wedding Bergen").parts == ()
    assert understood("wedding Bergen", Collection({"bergen"})).parts[0].near == "Bergen, Vestland, Norway"
    assert understood("in Bergen").parts[0].near == "Bergen, Vestland, Norway"
    assert understood("roast turkey", Collection({"turkey"})).parts == ()


@pytest.mark.parametrize(
    ("today", "query", "after", "before"),
    [
        (date(2024, 1, 10), "last winter", "2022-12-01", "2023-03-01"),
        (date(2024, 1, 10), "this winter", "2023-12-01", "2024-03-01"),
        (date(2024, 1, 10), "in december", "2023-12-01", "2024-01-01"),
        (date(2024, 1, 10), "last month", "2023-12-01", "2024-01-01"),
        (date(2024, 1, 10), "two months ago", "2023-11-01", "2023-12-01"),
        (date(2024, 1, 10), "this christmas", "2023-12-24", "2023-12-27"),
        (date(2024, 12, 25), "last christmas", "2023-12-24", "2023-12-27"),
        (date(2024, 3, 31), "last 1 month", "2024-03-01", "2024-04-01"),
        (date(2024, 3, 30), "past month", "2024-02-01", "2024-03-01"),
        (date(2024, 3, 1), "yesterday", "2024-02-29", "2024-03-01"),
        (date(2024, 6, 16), "this weekend", "2024-06-15", "2024-06-17"),
        (date(2024, 6, 14), "this weekend", "2024-06-08", "2024-06-10"),
        (date(2024, 6, 17), "on monday", "2024-06-17", "2024-06-18"),
        (date(2024, 6, 17), "last monday", "2024-06-10", "2024-06-11"),
        (date(2019, 6, 17), "in the 20s", "1920-01-01", "1930-01-01"),
        (date(2019, 6, 17), "2024", None, None),
        (date(2024, 6, 17), "dogs since yesterday", "2024-06-16", None),
        (date(2024, 6, 17), "since 3 days ago", "2024-06-14", None),
        (date(2024, 6, 17), "since last week", "2024-06-10", None),
        (date(2024, 6, 17), "before last year", None, "2023-01-01"),
        (date(2024, 6, 17), "until the day before yesterday", None, "2024-06-16"),
        (date(2024, 6, 17), "after last night", "2024-06-18", None),
        (date(2024, 6, 18), "since monday", "2024-06-17", None),
        (date(2024, 6, 17), "since last monday", "2024-06-10", None),
        (date(2024, 6, 17), "december to february 2020", "2019-12-01", "2020-03-01"),
        (date(2024, 6, 17), "29 feb 2024", "2024-02-29", "2024-03-01"),
        (date(2024, 6, 17), "29 feb 2023", None, None),
        (date(2024, 6, 17), "31st of june 2020", None, None),
        (date(2024, 6, 17), "30.02.2021", None, None),
        (date(2024, 6, 17), "auguſt 2020", "2020-08-01", "2020-09-01"),
        (date(2024, 6, 17), "sprıng 2020", "2020-03-01", "2020-06-01"),
        (date(2019, 6, 17), "july 2024", None, None),
    ],
)
def test_dates_depend_on_the_day(today: date, query: str, after: str | None, before: str | None) -> None:
    parts = understood(query, today=today).parts
    assert [(part.after, part.before) for part in parts] == ([(after, before)] if after or before else [])


@pytest.mark.parametrize("piece", ["in ", "in Xy ", "2021 ", ", ", " ", "july ", "from ", "3 ", '"', "-", "the last "])
def test_long_texts_take_no_time(piece: str) -> None:
    text = (piece * MAX_CHARACTERS)[:MAX_CHARACTERS]
    understood(text)
    assert understood(f"{text}in Norway").parts == ()


PIECES = ["in", "near", "the", "last", "this", "july", "may", "2021", "3", "days", "ago", "winter", "Lisbon", "norway",
          ",", "-", "-x", '"in', "since", "Norway", "\ue000"]  # fmt: skip
WORDS = st.lists(
    st.one_of(
        st.sampled_from(PIECES),
        st.text(max_size=4),
    ),
    max_size=8,
)


@given(WORDS.map(" ".join), st.dates(date(1970, 1, 1), date(2100, 1, 1)))
@example('2021 in "in', TODAY)
@settings(max_examples=200)
def test_words_are_neither_lost_nor_made_up(text: str, today: date) -> None:
    found = understood(text, today=today)
    if not found.parts:
        assert found.text == text
        return
    assert all(part.text in text for part in found.parts)
    left = iter(text)
    assert all(letter in left for letter in found.text if not letter.isspace()), (ascii(text), found)
    parse(found.condition())
