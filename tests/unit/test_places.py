"""The offline gazetteer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossmodal.metadata import build_places, places
from crossmodal.metadata.places import named, nearest

PLACES = {
    (48.8584, 2.2945): ("Paris", "Île-de-France", "France"),
    (41.8902, 12.4922): ("Rome", "Lazio", "Italy"),  # not Celio, the nearest
    (40.7829, -73.9654): ("New York City", "New York", "United States"),
    (40.728, -74.077): ("Jersey City", "New Jersey", "United States"),  # near New York, but in another region
    (48.804, 2.12): ("Versailles", "Île-de-France", "France"),
    (35.6595, 139.7005): ("Tokyo", "Tokyo", "Japan"),
    (-33.8568, 151.2153): ("Sydney", "New South Wales", "Australia"),
    (-22.9711, -43.1822): ("Rio de Janeiro", "Rio de Janeiro", "Brazil"),
    (45.9763, 7.6586): ("Zermatt", "Valais", "Switzerland"),
    (-25.3444, 131.0369): ("Yulara", "Northern Territory", "Australia"),
    (1.2834, 103.8607): ("Singapore", "", "Singapore"),
}


@pytest.mark.parametrize("coordinate", PLACES)
def test_landmarks_are_in_the_place_that_people_would_name(coordinate: tuple[float, float]) -> None:
    place = nearest(*coordinate)
    assert place is not None
    assert place[:3] == PLACES[coordinate]


@pytest.mark.parametrize("coordinate", [(90.0, 0.0), (-90.0, 0.0), (90.0, 180.0), (0.0, -30.0), (0.0, 0.0)])
def test_poles_and_oceans_have_no_place(coordinate: tuple[float, float]) -> None:
    assert nearest(*coordinate) is None


def test_both_sides_of_the_date_line_have_the_same_place() -> None:
    found = {nearest(-16.5, longitude) for longitude in (180.0, -180.0, 179.999, -179.999)}
    assert [place and place.country for place in found] == ["Fiji"]


def test_names_are_found_without_case_and_accents_the_most_populous_first() -> None:
    assert [place.country for place in named("paris")][:1] == ["France"]
    assert len(named("paris")) > 5
    assert named("SAO PAULO") == named("São  Paulo")
    assert named("St Louis") == named("st. louis")
    assert named("no such place") == named("") == named("\n") == named("\t") == named("\ud800") == []


@pytest.mark.parametrize("name", ["Munich", "München", "munchen", "Мюнхен", "Munich, Germany", "Munich, Bavaria"])
def test_large_places_are_found_by_names_in_other_languages(name: str) -> None:
    assert named(name)[0][:3] == ("Munich", "Bavaria", "Germany")


@pytest.mark.parametrize("name", ["Paris, Texas", "Paris, TX", "paris,tx"])
def test_an_area_after_a_comma_selects(name: str) -> None:
    assert [place[:3] for place in named(name)] == [("Paris", "Texas", "United States")]


def test_a_named_place_is_at_its_own_coordinates() -> None:
    for name in ("Oslo", "Reykjavík", "Suva", "Ushuaia", "Longyearbyen"):
        place = named(name)[0]
        assert nearest(place.latitude, place.longitude) == place


def test_the_file_is_built_from_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    city = {"countrycode": "FR", "admin1code": "11", "longitude": 2.3488, "latitude": 48.85341}
    cities = {
        "1": {**city, "geonameid": 1, "name": "Small", "population": 10, "alternatenames": ["Hidden"]},
        "3": {**city, "geonameid": 3, "name": "Paris", "population": 11, "alternatenames": []},
        "2": {**city, "geonameid": 2, "name": "Paris", "population": 2_138_551, "alternatenames": ["Paris", "Lutèce"]},
    }
    (tmp_path / "cities1000.json").write_text(json.dumps(cities))
    (tmp_path / "countries.json").write_text(json.dumps({"FR": {"name": "France"}}))
    (tmp_path / "admin1.json").write_text(json.dumps([{"code": "FR.11", "name": "Île-de-France"}]))
    for module in (places, build_places):
        monkeypatch.setattr(module, "FILE", tmp_path / "places.npz")
    build_places.build(tmp_path, tmp_path / "admin1.json")
    gazetteer = places._Gazetteer()
    paris = ("Paris", "Île-de-France", "France", 48.853, 2.349)
    assert gazetteer.named("lutece") == [paris]
    assert gazetteer.named("paris") == [paris, paris]
    assert [place.name for place in gazetteer.named("small")] == ["Small"]
    assert gazetteer.named("hidden") == []
    assert gazetteer.nearest(48.9, 2.3) == paris
