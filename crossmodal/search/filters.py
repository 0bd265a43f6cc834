"""Filters by time, place, camera and folder, as a condition of `crossmodal.store.where`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from crossmodal.core.errors import InputError
from crossmodal.metadata.places import Place, key_of, named
from crossmodal.store.where import all_of, parse, quoted

DEFAULT_KM = 20.0
"""The radius of `near` without `within_km`: a city and its surroundings."""
MAX_KM = 20_100.0
"""More than half the circumference of the earth."""

_TIME = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d)?)?)?)?", re.ASCII)
_POINT = re.compile(r"\s*([+-]?\d+(?:\.\d*)?)\s*,\s*([+-]?\d+(?:\.\d*)?)\s*", re.ASCII)
_TOWN = 15_000
_EARLIEST = "0001-01-01T00:00:00"


class Point(NamedTuple):
    """A point in degrees; `name` has the place that it was found by, empty for a pair of coordinates."""

    latitude: float
    longitude: float
    name: str = ""


@dataclass(frozen=True)
class Filters:
    """What the documents of an answer must meet, all of it; by default nothing.

    Attributes:
        where: A condition.
        after: Taken in this year, month, day or second, or later: `2023`, `2023-07`, `2023-07-01T18:30`.
        before: Taken before this year, month, day or second begins.
        near: The name of a place, or `LATITUDE,LONGITUDE` in degrees.
        within_km: The radius around `near`.
        camera: A part of the camera's name; the case of A to Z is ignored.
        folder: The folder of the file in the indexed one, without its subfolders; empty for that folder itself.
    """

    where: str | None = None
    after: str | None = None
    before: str | None = None
    near: str | None = None
    within_km: float | None = None
    camera: str | None = None
    folder: str | None = None

    def condition(self) -> str:
        """All filters as the text of one condition, empty without any.

        Times are local ones: those of the camera, whatever its time zone.

        Raises:
            InputError: A filter is malformed; the message begins with its name.
        """
        parts = [f"({self.where})"] if self._has_where() else []
        if self.after is not None:
            parts.append(f"tags.taken >= {quoted(_time(self.after, 'after'))}")
        if self.before is not None:
            parts.append(f"tags.taken < {quoted(_time(self.before, 'before'))}")
        if (point := self.point()) is not None:
            km = DEFAULT_KM if self.within_km is None else self.within_km
            parts.append(f"near({point.latitude:.6f}, {point.longitude:.6f}, {km:.6f})")
        if self.camera is not None:
            parts.append(f"tags.camera contains {quoted(_text(self.camera, 'camera'))}")
        if self.folder is not None:
            folder = quoted(_text(self.folder, "folder"))
            parts.append(f"tags.folder = {folder}" if self.folder else "tags.folder is null")
        return all_of(*parts)

    def _has_where(self) -> bool:
        if self.where is None:
            return False
        try:
            parse(self.where)
        except InputError as error:
            raise InputError(f"where: {error}") from error
        return True

    def point(self) -> Point | None:
        """The point of `near`, None without one.

        Raises:
            InputError: There is no such place, or `within_km` has no `near`, or is out of range.
        """
        if self.near is None:
            if self.within_km is not None:
                raise InputError("within_km: give `near`, too: the name of a place, or LATITUDE,LONGITUDE")
            return None
        if self.within_km is not None and not 0 < self.within_km <= MAX_KM:
            raise InputError(f"within_km: expected a distance above 0 and up to {MAX_KM:,.0f}, found {self.within_km}")
        return point_of(self.near)


def point_of(text: str) -> Point:
    """The point of `LATITUDE,LONGITUDE`, or the most populous place of a name.

    >>> point_of("38.7, -9.1")
    Point(latitude=38.7, longitude=-9.1, name='')

    Raises:
        InputError: Degrees beyond 90 and 180, or a name that is not in the gazetteer.
    """
    if (pair := _POINT.fullmatch(text)) is not None:
        latitude, longitude = float(pair[1]), float(pair[2])
        if abs(latitude) > 90 or abs(longitude) > 180:
            raise InputError(f"near: {text.strip()} is not LATITUDE,LONGITUDE: -90 to 90, and -180 to 180")
        return Point(latitude, longitude)
    place = place_named(text)
    if place is None:
        raise InputError(
            f"near: no place is named {text[:80]!r}; give LATITUDE,LONGITUDE, or for a country a condition such as "
            "tags.country = 'Norway'"
        )
    return Point(place.latitude, place.longitude, full_name(place))


def place_named(text: str, least_inhabitants: int = 0) -> Place | None:
    """The most populous place of a name, None without one; a town of that very name is preferred to other languages'.

    >>> place = place_named("venice")
    >>> place and full_name(place)
    'Venice, Veneto, Italy'
    >>> place == place_named("Venice, Veneto, Italy")
    True
    """
    if text.count(",") > 1:
        same = (place for place in _named(text.partition(",")[0]) if key_of(full_name(place)) == key_of(text))
        return next(same, None)
    places = _named(text, least_inhabitants)
    key = key_of(text.partition(",")[0])
    if not places or key_of(places[0].name) == key:
        return places[0] if places else None
    own = (place for place in _named(text, max(_TOWN, least_inhabitants)) if key_of(place.name) == key)
    return next(own, places[0])


@lru_cache(4_096)
def _named(text: str, least_inhabitants: int = 0) -> list[Place]:
    return named(text, least_inhabitants)  # takes milliseconds, and queries are typed letter by letter


def full_name(place: Place) -> str:
    """The name of a place with its region and country.

    >>> full_name(Place("Vatican City", "", "Vatican", 41.903, 12.454))
    'Vatican City, Vatican'
    """
    return ", ".join(dict.fromkeys(part for part in (place.name, place.region, place.country) if part))


def _time(text: str, field: str) -> str:
    """A year, month, day, minute or second in the form of the tag `taken`, to which it compares as text.

    >>> _time("2023-07-01 18:30", "after")
    '2023-07-01T18:30'
    """
    given = text.strip().replace(" ", "T")
    if _TIME.fullmatch(text.strip()):
        try:
            datetime.fromisoformat(given + _EARLIEST[len(given) :])
        except ValueError:
            pass
        else:
            return given
    raise InputError(f"{field}: {text[:40]!r} is not a time; expected 2023, 2023-07, 2023-07-01 or 2023-07-01T18:30")


def _text(text: str, field: str) -> str:
    if re.search("[\0\ud800-\udfff]", text):
        raise InputError(f"{field}: U+0000 and surrogates are not allowed")
    return text
