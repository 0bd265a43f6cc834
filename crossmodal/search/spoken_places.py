"""Finds places in the words of a query: "in Lisbon", "near Oslo", "within 5 km of Paris", "wedding, Porto".

    place = ( "in" | "near" | "around" | "close to" ), [ "the" ], name
          | "within", number, unit, "of", name | number, unit, ( "from" | "of" ), name
          | [ "," ], name at the end of the text ;
    name  = one to five words, with the region or the country after a comma: "Paris, Texas" ;
    unit  = "km" | "kilometers" | "m" | "miles" ;

Rules that keep it from taking other words:

- A name must end its clause, so "in china plates" and "in paris fashion" are no places.
- A name in small letters must be that of a country, a region or a town with 50,000 inhabitants, or of a place where
  pictures of the collection were taken. A word that is also an ordinary one ("bath", "orange") needs a capital, and
  the text must have other words without one.
- A name without a preposition must end the text, and be the country, region or place of some picture of the collection.
  Ordinary words and names of people ("turkey", "jordan", "florence") need the preposition.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import NamedTuple

from crossmodal.metadata.places import area_named, key_of
from crossmodal.search.filters import DEFAULT_KM, full_name, place_named
from crossmodal.search.spoken_text import END, OPAQUE, START, TAKEN

TOWN = 50_000
"""Inhabitants of a place whose name in small letters is enough."""
CITY = 100_000
"""Inhabitants of a place that is meant rather than a region elsewhere of the same name."""
KM_PER_MILE = 1.609344
MAX_WORDS = 5
LEAST_LETTERS = 5
"""Of a name in another language in small letters."""
_COUNTRIES = {
    "usa": "United States", "u s a": "United States", "america": "United States", "uk": "United Kingdom",
    "united states of america": "United States", "britain": "United Kingdom", "great britain": "United Kingdom",
    "holland": "The Netherlands", "netherlands": "The Netherlands", "czech republic": "Czechia",
    "burma": "Myanmar", "congo": "Republic of the Congo", "macedonia": "North Macedonia",
    "bosnia": "Bosnia and Herzegovina", "cape verde": "Cabo Verde", "vatican city": "Vatican",
}  # fmt: skip
"""Other names of countries than those of the gazetteer."""
_NO_NAME = frozenset(
    ["a", "an", "his", "her", "its", "my", "our", "your", "their", "this", "that", "these", "those", "some", "front"]
)
"""Words after a preposition that begin no name."""
_JOINING = re.compile(r"\b(?:of|and|or|with|by|from|to|the|a|an)\s+$", re.IGNORECASE)
_NAME_WORD = rf"[^\W\d_{TAKEN}{OPAQUE}][\w.'’-]*"
_DISTANCE = (
    r"(?:within\s+)?(?P<distance>\d+(?:\.\d+)?)\s*(?P<unit>km|kilomet(?:er|re)s?|miles?|m|met(?:er|re)s?)\s+(?:of|from)"
)
_SAID = re.compile(
    rf"{START}(?:{_DISTANCE}|in|near|around|close\s+to)\s+(?P<the>the\s+)?"
    rf"(?P<name>{_NAME_WORD}(?:,?\s+{_NAME_WORD}){{0,{MAX_WORDS - 1}}})",
    re.IGNORECASE,
)
_FINAL = re.compile(rf"{START}(?P<name>{_NAME_WORD}(?:\s+{_NAME_WORD}){{0,2}})[\s,.!{TAKEN}]*$", re.IGNORECASE)
_ENDS = re.compile(rf"{END}|(?=\s+\w+ing\b)", re.IGNORECASE)
_PREPOSITION = re.compile(
    r"\s(?:in|at|on|near|by|with|from|during|around|while|under|over|behind|beside)\s", re.IGNORECASE
)
IsHere = Callable[[str], bool]


class Location(NamedTuple):
    """A point in degrees, or a country or region, which has none."""

    name: str
    latitude: float | None = None
    longitude: float | None = None


class FoundPlace(NamedTuple):
    """A place phrase and its position in the text; `km` is the radius around a point."""

    start: int
    end: int
    location: Location
    km: float | None


def find_places(text: str, is_here: IsHere) -> list[FoundPlace]:
    """The place phrases of a text, in its order.

    Args:
        text: The text, in which other phrases are marked by `spoken_text.take`.
        is_here: Whether a picture of the collection has a country, region or place with this name, in any case.
    """
    found: list[FoundPlace] = []
    position = 0
    while match := _SAID.search(text, position):
        place = _said(match, text, is_here)
        position = place.end if place else match.start() + 1
        if place:
            found.append(place)
    if not found and (place := _final(text, is_here)):
        found.append(place)
    return found


@cache
def _words(name: str) -> frozenset[str]:
    """The words of a file beside this one: `ordinary_words.txt`, or `ambiguous_names.txt`."""
    lines = (resources.files("crossmodal.search") / name).read_text("utf8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def _is_ordinary(key: str) -> bool:
    return key in _words("ordinary_words.txt")


def _said(match: re.Match[str], text: str, is_here: IsHere) -> FoundPlace | None:
    """The longest name after a preposition."""
    start = match.start("name")
    words = list(re.finditer(_NAME_WORD, match["name"]))
    if words[0][0].lower() in _NO_NAME:
        return None
    for word in reversed(words):
        end = start + word.end()
        name = text[start:end]
        if _ENDS.match(text, end) and not _PREPOSITION.search(name):
            location = _location(name, is_here, bool(match["the"]), _is_capitalised(name, text[:start] + text[end:]))
            if location is not None:
                return FoundPlace(match.start(), end, location, _km(match, location))
    return None


def _final(text: str, is_here: IsHere) -> FoundPlace | None:
    """The longest name at the end of the text that some picture has."""
    match = _FINAL.search(text)
    for word in re.finditer(_NAME_WORD, match["name"]) if match else ():
        start = match.start("name") + word.start()  # type: ignore[union-attr]
        name = text[start : match.end("name")]  # type: ignore[union-attr]
        key = key_of(name)
        is_sure = (
            not _is_ordinary(key) and key not in _words("ambiguous_names.txt") and not _JOINING.search(text[:start])
        )
        if is_sure and is_here(name) and (location := _location(name, is_here, False, True)):
            return FoundPlace(start, start + len(name), location, _km(None, location))
    return None


def _location(name: str, is_here: IsHere, has_article: bool, is_capitalised: bool) -> Location | None:
    """What a name means, None if it is not surely a place."""
    key = key_of(name)
    if key in _COUNTRIES:
        return Location(_COUNTRIES[key])
    if key in ("us", "u s"):
        return Location("United States") if has_article or name.isupper() else None
    if not is_capitalised and _is_ordinary(key):
        return None
    area = area_named(name)
    if area is not None and area.is_country:
        return Location(area.name)
    place = place_named(name, 0 if is_capitalised or "," in name or is_here(name) else TOWN)
    if area is not None and (place is None or (place.region != area.name and place_named(name, CITY) is None)):
        return Location(area.name)
    if place is None or (len(key) < LEAST_LETTERS and not is_capitalised and key_of(place.name) != key):
        return None
    return Location(full_name(place), place.latitude, place.longitude)


def _is_capitalised(name: str, others: str) -> bool:
    """Whether a name is written as one: with a capital, in a text that also has words without."""
    return name[:1].isupper() and any(word[:1].islower() for word in others.split())


def _km(match: re.Match[str] | None, location: Location) -> float | None:
    if location.latitude is None:
        return None
    if match is None or match["distance"] is None:
        return DEFAULT_KM
    unit = match["unit"].lower()
    return float(match["distance"]) * (1.0 if unit[0] == "k" else KM_PER_MILE if unit[:2] == "mi" else 0.001)
