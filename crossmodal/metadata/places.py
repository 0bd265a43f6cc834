"""An offline gazetteer: the place at a coordinate, and the places of a name.

`places.npz` has the places with more than 1,000 inhabitants and the seats of administration, from GeoNames (CC BY 4.0,
`places.LICENSE.txt`); `crossmodal.metadata.build_places` makes it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("places.npz")
"""The places, most populous first: `coordinates` (n, 2) int32, thousandths of a degree of latitude and longitude;
`population` (n,) uint32; `region` (n,) uint16, a row of `regions`; and UTF-8 texts as uint8: `names`, a line a place;
`aliases`, tab-separated `key_of` other names, a line for each of the first places; `regions`, lines of country code,
region code, country and region, separated by tabs."""

MAX_KM = 100.0
"""A coordinate that is farther from every place, such as one on the ocean, has no place."""

EARTH_RADIUS_KM = 6371.0
_KM_PER_DEGREE = np.pi * EARTH_RADIUS_KM / 180
_EXTENT = 0.027, 0.4
"""Factor and exponent of a place's radius in km by its population: London 16 km, Paris 9 km, Reykjavík 3 km."""
_LARGEST_KM = 30.0
"""More than the radius of any place."""

_PUNCTUATION = str.maketrans({".": "", "-": " ", "’": "'"})


class Place(NamedTuple):
    """A city, town or village: its region is the first-order administrative division, empty if it has none.

    The coordinates of its centre are in degrees.
    """

    name: str
    region: str
    country: str
    latitude: float
    longitude: float


def nearest(latitude: float, longitude: float) -> Place | None:
    """The place at a coordinate in degrees, None if there is none within 100 km.

    That is the nearest one, or a larger place in the same region which extends to the coordinate: a photograph in a
    district of Rome is in Rome. Takes 0.1 ms; the first call reads the gazetteer.

    >>> nearest(48.8584, 2.2945)
    Place(name='Paris', region='Île-de-France', country='France', latitude=48.853, longitude=2.349)
    >>> nearest(0.0, -30.0)
    """
    return _gazetteer().nearest(latitude, longitude)


class Area(NamedTuple):
    """A country or one of its regions, with its name in the tags `country` and `region`."""

    name: str
    is_country: bool


def area_named(text: str) -> Area | None:
    """The country of a name, else the region, None if there is none; compared as by `named`.

    >>> area_named("norway"), area_named("Tuscany")
    (Area(name='Norway', is_country=True), Area(name='Tuscany', is_country=False))
    """
    return _gazetteer().areas.get(key_of(text))


def named(text: str, least_inhabitants: int = 0) -> list[Place]:
    """The places of a name, most populous first; case, accents, points and hyphens don't matter.

    Places with 15,000 inhabitants or more are also found by their names in other languages. A region, a country or
    their code after a comma selects among places of the same name.

    >>> [place.country for place in named("köln")][:1], [place.region for place in named("Paris, TX")]
    (['Germany'], ['Texas'])
    """
    return _gazetteer().named(text, least_inhabitants)


def key_of(name: str) -> str:
    """A name without case, accents, points, hyphens and repeated spaces, for comparisons.

    >>> key_of("Saint-Étienne"), key_of("D.C.")
    ('saint etienne', 'dc')
    """
    key = name.casefold()
    if not key.isascii():
        key = "".join(letter for letter in unicodedata.normalize("NFKD", key) if not unicodedata.combining(letter))
    return " ".join(key.translate(_PUNCTUATION).split())


@cache
def _gazetteer() -> _Gazetteer:
    return _Gazetteer()


class _Gazetteer:
    """The places of `FILE`; what only `named` needs is read by its first call."""

    def __init__(self) -> None:
        with np.load(FILE) as stored:
            self._degrees: NDArray[np.float64] = stored["coordinates"] / 1000
            self._population: NDArray[np.uint32] = stored["population"]
            extents_km = _EXTENT[0] * self._population.astype(np.float32) ** _EXTENT[1]
            self._region_of: NDArray[np.uint16] = stored["region"]
            self._names = _Lines(stored["names"].tobytes())
            regions = stored["regions"].tobytes().decode().split("\n")
        self._regions = [_Region(*line.split("\t")) for line in regions]
        self._northward = np.argsort(self._degrees[:, 0], kind="stable")
        # In this order, for `nearest`; distances are squares of chords of the unit sphere.
        self._latitudes = self._degrees[self._northward, 0]
        self._points = _unit_vectors(self._degrees[self._northward])
        self._extents = (extents_km[self._northward] / EARTH_RADIUS_KM) ** 2

    def nearest(self, latitude: float, longitude: float) -> Place | None:
        here = _unit_vectors(np.array([[latitude, longitude]]))[0]
        for reach_km in (_LARGEST_KM, MAX_KM):  # the narrower band of latitudes is usually enough
            reach = reach_km / _KM_PER_DEGREE
            first, last = self._latitudes.searchsorted((latitude - reach, latitude + reach))
            apart = self._points[first:last] - here
            distances = np.einsum("ij,ij->i", apart, apart)
            if distances.min(initial=np.inf) <= (reach_km / EARTH_RADIUS_KM) ** 2:
                break
        else:
            return None
        rows = self._northward[first:last]
        closest = rows[distances.argmin()]
        around = rows[distances <= self._extents[first:last]]
        in_region = around[self._region_of[around] == self._region_of[closest]]
        return self._place(int(in_region.min(initial=closest)))  # the rows are ordered by population

    def named(self, text: str, least_inhabitants: int = 0) -> list[Place]:
        rows = self._rows_of(text)
        if not rows and "," in text:
            name, _, area = text.rpartition(",")
            rows = [row for row in self._rows_of(name) if key_of(area) in self._regions[self._region_of[row]].keys]
        return [self._place(row) for row in rows if self._population[row] >= least_inhabitants]

    @cached_property
    def areas(self) -> dict[str, Area]:
        regions = {key_of(region.name): Area(region.name, False) for region in self._regions if region.name}
        return regions | {key_of(region.country): Area(region.country, True) for region in self._regions}

    def _rows_of(self, name: str) -> list[int]:
        key = key_of(name).encode("utf8", "ignore")  # lone surrogates match nothing
        if not key:
            return []
        return sorted({*self._keys.rows_with(b"\n%b\n" % key), *self._aliases.rows_with(b"\t%b\t" % key)})

    @cached_property
    def _keys(self) -> _Lines:
        return _Lines("\n".join(map(key_of, self._names.text.decode().split("\n"))).encode())

    @cached_property
    def _aliases(self) -> _Lines:
        with np.load(FILE) as stored:
            return _Lines(stored["aliases"].tobytes())

    def _place(self, row: int) -> Place:
        region = self._regions[self._region_of[row]]
        latitude, longitude = self._degrees[row].tolist()
        return Place(self._names[row], region.name, region.country, latitude, longitude)


class _Region(NamedTuple):
    country_code: str
    code: str
    country: str
    name: str

    @property
    def keys(self) -> set[str]:
        return set(map(key_of, self)) - {""}


class _Lines:
    """The lines of a UTF-8 text, kept as one piece: a list of 170,000 strings would take five times the memory."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._framed = b"\n%b\n" % text
        self._ends = np.flatnonzero(np.frombuffer(self._framed, np.uint8) == ord("\n"))

    def __getitem__(self, row: int) -> str:
        return self._framed[self._ends[row] + 1 : self._ends[row + 1]].decode()

    def rows_with(self, part: bytes) -> Iterator[int]:
        """The rows of the lines that contain a text, which starts and ends with the same separator."""
        at = self._framed.find(part)
        while at >= 0:
            yield int(np.searchsorted(self._ends, at, "right")) - 1
            at = self._framed.find(part, at + len(part) - 1)


def _unit_vectors(degrees: NDArray[np.float64]) -> NDArray[np.float32]:
    """The points (n, 3) on the unit sphere of latitudes and longitudes (n, 2)."""
    latitude, longitude = np.radians(degrees).T
    east, north = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude)
    return np.stack([east, north, np.sin(latitude)], axis=1).astype(np.float32)
