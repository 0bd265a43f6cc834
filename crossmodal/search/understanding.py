"""Finds time and place in the words of a query, which become filters; the other words are searched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Literal, Protocol

from crossmodal.search.filters import Filters
from crossmodal.search.spoken_dates import FoundDate, find_dates
from crossmodal.search.spoken_places import FoundPlace, find_places
from crossmodal.search.spoken_text import TAKEN, opaque, remaining, take
from crossmodal.store.where import all_of, quoted

MAX_CHARACTERS = 300
"""A longer text is no query of a few words, and is left alone."""


class Known(Protocol):
    """What is known of the pictures of a collection."""

    @property
    def has_dates(self) -> bool:
        """Whether some picture has a date."""
        ...

    @property
    def has_places(self) -> bool:
        """Whether some picture has a country, a region or a place."""
        ...

    def is_named(self, name: str) -> bool:
        """Whether the country, region or place of some picture has this name, in any case."""
        ...


@dataclass(frozen=True)
class UnderstoodPhrase:
    """A phrase that was understood.

    Attributes:
        kind: What it names.
        text: The phrase as it was written.
        after: Of a date, the first day; None without one.
        before: Of a date, the day after the last; None without one.
        near: Of a place, its full name, or the name of a country or region.
        latitude: Of a place, in degrees; None for a country or region, whose pictures have its name in their tags.
        longitude: As `latitude`.
        within_km: Of a place, the radius around it.
    """

    kind: Literal["date", "place"]
    text: str
    after: str | None = None
    before: str | None = None
    near: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    within_km: float | None = None

    def condition(self) -> str:
        """The part as a condition of `crossmodal.store.where`."""
        if self.near is not None and self.latitude is None:
            return f"(tags.country = {quoted(self.near)} or tags.region = {quoted(self.near)})"
        point = None if self.latitude is None else f"{self.latitude},{self.longitude}"
        return Filters(after=self.after, before=self.before, near=point, within_km=self.within_km).condition()

    def to_dict(self) -> dict[str, Any]:
        """The attributes that are not None."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Understood:
    """A query: its phrases about time and place, and the other words, empty if there are none."""

    text: str
    parts: tuple[UnderstoodPhrase, ...] = ()

    def condition(self) -> str:
        """The parts as one condition, empty without any."""
        return all_of(*(part.condition() for part in self.parts))


def understand(text: str, today: date, known: Callable[[], Known]) -> Understood:
    """The phrases about time and place of a query, and its other words.

    The grammar is in `spoken_dates` and `spoken_places`. Quoted phrases and words to avoid are left alone; so are dates
    if there are two, or if no picture has a date, places if no picture has one, and texts of more than
    `MAX_CHARACTERS`.

    Args:
        text: The words of a query.
        today: The day that "yesterday" is before.
        known: Returns what is known of the collection; called only if it matters, and at most once.
    """
    if len(text) > MAX_CHARACTERS or TAKEN in text:
        return Understood(text)
    known = cache(known)
    dates = find_dates(opaque(text), today)
    without_dates = _taken(opaque(text), dates)  # a date also ends the name of a place if it is left alone
    if len(dates) != 1 or not known().has_dates:
        dates = []
    places = find_places(without_dates, lambda name: known().is_named(name))
    if places and not known().has_places:
        places = []
    phrases: list[FoundDate | FoundPlace] = [*dates, *places]
    phrases.sort(key=lambda found: found.start)
    parts = tuple(_part(found, text[found.start : found.end]) for found in phrases)
    return Understood(remaining(text, _taken(text, phrases)), parts)


def _taken(text: str, phrases: Sequence[FoundDate | FoundPlace]) -> str:
    for found in phrases:
        text = take(text, found.start, found.end)
    return text


def _part(found: FoundDate | FoundPlace, text: str) -> UnderstoodPhrase:
    if isinstance(found, FoundDate):
        after, before = (None if day is None else day.isoformat() for day in found.span)
        return UnderstoodPhrase("date", text, after, before)
    name, latitude, longitude = found.location
    return UnderstoodPhrase("place", text, None, None, name, latitude, longitude, found.km)
