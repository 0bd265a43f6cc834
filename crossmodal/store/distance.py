"""Distances on the surface of the earth, taken as a sphere."""

from __future__ import annotations

import math
from typing import NamedTuple

EARTH_KM = 6371.0088
"""Mean radius, with which distances differ by at most 0.6 % from those on the ellipsoid.

Source: Moritz 2000 (Geodetic Reference System 1980), R1.
"""
_SLACK = 1e-9
"""Degrees by which a box is larger than the circle, so that rounding excludes no point of the circle."""


class Box(NamedTuple):
    """Latitudes from `south` to `north`, and longitudes in one of the ranges (west, east); degrees, inclusive."""

    south: float
    north: float
    longitudes: tuple[tuple[float, float], ...]


def haversine(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """The haversine of the angle between two points in degrees: 0 for the same point to 1 for opposite ones.

    It increases with the distance and is accurate for near points. Source: Sinnott 1984 (Virtues of the haversine).

    >>> round(haversine(0, 0, 0, 90), 3)
    0.5
    """
    there, here = math.radians(latitude), math.radians(other_latitude)
    across = math.sin(math.radians(longitude - other_longitude) / 2)
    return math.sin((there - here) / 2) ** 2 + math.cos(there) * math.cos(here) * across**2


def haversine_of(km: float) -> float:
    """The haversine of a distance along the surface; 2, which no two points reach, from half the circumference on."""
    angle = km / EARTH_KM
    return math.sin(angle / 2) ** 2 if angle < math.pi else 2.0


def box_around(latitude: float, longitude: float, km: float) -> Box:
    """The box that contains all points within `km`: across the date line it has two ranges of longitudes.

    A circle with a pole in it has all longitudes. Otherwise the greatest difference in longitude is that of the
    meridian that touches the circle, asin(sin(angle) / cos(latitude)), from the right spherical triangle there.

    >>> box = box_around(60, 179.5, 111.195)
    >>> round(box.south, 3), round(box.north, 3), [(round(west, 3), round(east, 3)) for west, east in box.longitudes]
    (59.0, 61.0, [(177.5, 180.0), (-180.0, -178.5)])
    """
    angle = km / EARTH_KM
    south = latitude - math.degrees(angle) - _SLACK
    north = latitude + math.degrees(angle) + _SLACK
    if south <= -90 or north >= 90:
        return Box(max(south, -90.0), min(north, 90.0), ((-180.0, 180.0),))
    reach = math.degrees(math.asin(min(1.0, math.sin(angle) / math.cos(math.radians(latitude))))) + _SLACK
    west, east = longitude - reach, longitude + reach
    if east - west >= 360:
        return Box(south, north, ((-180.0, 180.0),))
    if west < -180:
        return Box(south, north, ((-180.0, east), (west + 360, 180.0)))
    if east > 180:
        return Box(south, north, ((west, 180.0), (-180.0, east - 360)))
    return Box(south, north, ((west, east),))
