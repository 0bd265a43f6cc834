"""GET /browse/sections, /browse/pictures and /browse/facets, on stores of every kind, without a Flow behind them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient
from stores import OpenStore

from crossmodal.core.errors import StateError
from crossmodal.core.types import Document
from crossmodal.search import overview
from crossmodal.search.known_pictures import KnownPictures
from crossmodal.search.overview import MOST_VALUES, WAIT_FACTOR, LatestOverview, Overview
from crossmodal.store.protocol import Store
from crossmodal.store.records import NewDocument
from serving.http.errors import ProblemRoute
from serving.http.timeline import add_timeline, read_overview

LISBON, OSLO = {"latitude": 38.72, "longitude": -9.14}, {"latitude": 59.91, "longitude": 10.75}
PICTURES: dict[str, dict[str, Any]] = {
    "a": {"filename": "b.jpg", "folder": "2023", "taken": "2023-07-31T23:59:59+01:00", "country": "Portugal", **LISBON},
    "b": {"filename": "a.jpg", "folder": "2023", "taken": "2023-08-01T00:00:00", "camera": "Canon EOS 5D"},
    "c": {"filename": "c.jpg", "taken": "2023-08-01T00:00:00", "camera": "Canon EOS R", "country": "Norway", **OSLO},
    "d": {"filename": "d.jpg", "folder": "2022", "camera": "NIKON D90", "place": "Oslo"},
    "e": {"filename": "e.jpg", "taken": 2023},
}


class Browsing(TestClient):
    def ids(self, **parameters: Any) -> str:
        answer = self.get("/browse/pictures", params=parameters)
        assert answer.status_code == 200, answer.text
        return "".join(picture["id"] for picture in answer.json()["pictures"])

    def sections(self, **parameters: Any) -> list[tuple[str, str, int]]:
        answer = self.get("/browse/sections", params=parameters).json()
        assert answer["n"] == sum(section["n"] for section in answer["sections"])
        return [(section["key"], section["title"], section["n"]) for section in answer["sections"]]


@pytest.fixture
def store(open_store: OpenStore) -> Iterator[Store]:
    with open_store(writable=True) as store:
        store.put([item(name, tags) for name, tags in PICTURES.items()])
        store.put([NewDocument(Document("caption", "text", text="a"), np.ones(1, np.float32))])
        yield store


@pytest.fixture
def client(store: Store) -> Browsing:
    opened: Any = SimpleNamespace(
        current=lambda: ("", SimpleNamespace(store=store, overview=LatestOverview(store, lambda: 0.0)))
    )
    app, router = FastAPI(), APIRouter(route_class=ProblemRoute)
    add_timeline(router, opened)
    app.include_router(router)
    return Browsing(app)


def item(name: str, tags: dict[str, Any]) -> NewDocument:
    return NewDocument(Document(name, "image", width=4, height=3, tags=tags), np.ones(1, np.float32))


def test_the_orders(client: Browsing) -> None:
    assert client.ids() == client.ids(order="newest") == "cbaed"
    assert client.ids(order="oldest") == "abcde"
    assert client.ids(order="folder") == "cedba"
    assert client.get("/browse/pictures", params={"order": "random"}).status_code == 422


def test_the_sections(client: Browsing) -> None:
    august, july, none = ("2023-08", "August 2023", 2), ("2023-07", "July 2023", 1), ("", "No date", 2)
    assert client.sections() == [august, july, none]
    assert client.sections(order="oldest") == [july, august, none]
    assert client.sections(order="folder") == [("", "Top folder", 2), ("2022", "2022", 1), ("2023", "2023", 2)]
    assert client.sections(where="id = 'nobody'") == []


def test_a_page(client: Browsing, store: Store) -> None:
    size = {"width": 4, "height": 3}
    answer = client.get("/browse/pictures", params={"offset": 2, "limit": 2}).json()
    assert answer == {
        "n": 5,
        "offset": 2,
        "pictures": [
            {"id": "a", **size, "taken": "2023-07-31T23:59:59+01:00", "folder": "2023", "filename": "b.jpg"},
            {"id": "e", **size, "taken": None, "folder": "", "filename": "e.jpg"},
        ],
    }
    assert client.get("/browse/pictures", params={"offset": 9}).json() == {"n": 5, "offset": 9, "pictures": []}
    assert client.get("/browse/pictures", params={"limit": 1001}).status_code == 422


def test_the_facets(client: Browsing) -> None:
    facets = client.get("/browse/facets").json()["facets"]
    assert {name: [(found["value"], found["n"]) for found in values] for name, values in facets.items()} == {
        "year": [("2023", 3)],
        "country": [("Norway", 1), ("Portugal", 1)],
        "place": [("Oslo", 1)],
        "camera": [("Canon EOS 5D", 1), ("Canon EOS R", 1), ("NIKON D90", 1)],
        "folder": [("2023", 2), ("2022", 1)],
        "label": [],
    }
    facets = client.get("/browse/facets", params={"camera": "canon"}).json()["facets"]
    assert [found["value"] for found in facets["camera"]] == ["Canon EOS 5D", "Canon EOS R"]


def test_pictures_by_label(client: Browsing, store: Store) -> None:
    store.put(
        [
            item("n1", {"labels": ["dog", "grass", "dog"]}),
            item("n2", {"labels": ["dog", 3]}),
            item("n3", {"labels": []}),
        ]
    )
    facets = client.get("/browse/facets").json()["facets"]
    assert facets["label"] == [{"value": "dog", "n": 2}, {"value": "grass", "n": 1}]
    facets = client.get("/browse/facets", params={"where": "tags.labels = 'grass'"}).json()["facets"]
    assert [found["n"] for found in facets["label"]] == [1, 1]
    assert client.get("/browse/pictures", params={"where": "tags.labels != 'grass'"}).json()["n"] == 2


def test_a_facet_is_bounded(client: Browsing, store: Store) -> None:
    store.put([item(f"n{n}", {"camera": f"camera {n:03}"}) for n in range(MOST_VALUES + 1)])
    store.put([item("n", {"camera": "camera 100"})])
    cameras = client.get("/browse/facets").json()["facets"]["camera"]
    assert len(cameras) == MOST_VALUES
    assert [found["value"] for found in cameras[:2]] == ["camera 100", "Canon EOS 5D"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"after": "2023-08"}, "bc"),
        ({"before": "2023-08"}, "a"),
        ({"before": "2023-08-01T00:00:00"}, "a"),
        ({"before": "2023-08-01 00:00:01"}, "abc"),
        ({"after": "2023-07-31", "before": "2023-08"}, "a"),
        ({"after": "2024"}, ""),
        ({"before": "2023"}, ""),
        ({"near": "38.7, -9.1"}, "a"),
        ({"near": "Lisbon", "within_km": "3000"}, "ac"),
        ({"near": "Oslo", "within_km": "30"}, "c"),
        ({"camera": "canon"}, "bc"),
        ({"folder": "2023"}, "ab"),
        ({"folder": ""}, "ce"),
        ({"where": "id = 'a' or id = 'd'", "folder": "2022"}, "d"),
        ({"where": "", "after": "", "before": "", "near": "", "camera": ""}, "abcde"),
    ],
)
def test_the_filters(client: Browsing, filters: dict[str, str], expected: str) -> None:
    assert "".join(sorted(client.ids(**filters))) == expected
    assert sum(n for _, _, n in client.sections(**filters)) == len(expected)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"where": "id ="}, "where: condition, at character 5"),
        ({"after": "July"}, "after: 'July' is not a time; expected 2023"),
        ({"before": "2023-02-29"}, "before: '2023-02-29' is not a time"),
        ({"before": "2023-07-01T18:30:00+02:00"}, "before: '2023-07-01T18:30:00+02:00' is not a time"),
        ({"near": "Nowhere at all"}, "near: no place is named 'Nowhere at all'"),
        ({"near": "91,0"}, "near: 91,0 is not LATITUDE,LONGITUDE"),
        ({"near": "0,-180.5"}, "near: 0,-180.5 is not LATITUDE,LONGITUDE"),
        ({"within_km": "20"}, "within_km: give `near`, too"),
        ({"near": "0,0", "within_km": "0"}, "within_km: expected a distance above 0"),
        ({"near": "0,0", "within_km": "nan"}, "within_km"),
        ({"camera": "a\0"}, "camera: "),
    ],
)
def test_a_malformed_filter_is_named(client: Browsing, filters: dict[str, str], message: str) -> None:
    for path in ("sections", "pictures", "facets"):
        answer = client.get(f"/browse/{path}", params=filters)
        assert answer.status_code == 422
        assert message in answer.json()["detail"]


def test_changes_are_seen(client: Browsing, store: Store) -> None:
    assert client.ids(after="2023") == "cba"
    store.put([item("f", {"taken": "2023-09-01T12:00:00"})])
    assert client.ids(after="2023") == "fcba"
    store.update([("d", {"taken": "2024-01-01T00:00:00"}), ("b", {"taken": None})])
    assert client.ids(after="2023") == "dfca"
    store.remove(["c"])
    assert client.ids() == "dfaeb"


def test_a_malformed_date_is_none(client: Browsing, store: Store) -> None:
    store.put([item(taken, {"taken": taken}) for taken in ("last summer", "2023-13-01T00:00:00", "2023-07-01")])
    assert client.sections()[-1] == ("", "No date", 5)


def test_an_overview_is_used_for_a_while(store: Store) -> None:
    now = [100.0]

    def clock() -> float:
        now[0] += 1  # an overview is read between two calls, so it takes 1 s
        return now[0]

    latest = LatestOverview(store, clock)
    first, _ = latest.current()
    store.remove(["a"])
    assert latest.current()[0] is first
    now[0] += WAIT_FACTOR
    second, mask = latest.current("id = 'b'")
    assert len(second.keys) == len(first.keys) - 1
    assert mask is not None
    assert mask.tolist() == [True, False, False, False]
    now[0] += WAIT_FACTOR
    assert latest.current()[0] is second


def test_requests_are_answered_while_a_large_overview_is_read(
    store: Store, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest = LatestOverview(store, lambda: 0.0, open_store=open_store)
    first, _ = latest.current()
    may_end, read = threading.Event(), Overview.read

    def read_slowly(other: Store) -> Overview:
        assert other is not store
        assert may_end.wait(30)
        return read(other)

    monkeypatch.setattr(Overview, "read", read_slowly)
    monkeypatch.setattr(overview, "WAIT_S", 0.0)
    store.remove(["a"])
    assert latest.current() == (first, None)
    found, mask = latest.current("tags.folder = '2023'")
    assert mask is not None
    assert found.keys[mask].tolist() == [key for key, it in store.by_keys(found.keys.tolist()).items() if it.id == "b"]
    monkeypatch.setattr(overview, "WAIT_S", 30.0)
    may_end.set()
    assert len(latest.current()[0].keys) == len(first.keys) - 1


def test_a_fault_of_the_reading_is_raised_once(store: Store, open_store: OpenStore) -> None:
    faults = [StateError("the store is damaged")]

    def opened() -> Store:
        if faults:
            raise faults.pop()
        return open_store()

    latest = LatestOverview(store, open_store=opened)
    with pytest.raises(StateError, match="damaged"):
        latest.current()
    assert len(latest.current()[0].keys) == len(PICTURES)


def test_what_is_known_of_the_pictures_is_read_from_few_tags(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    known, tag_texts, read = KnownPictures(store), type(store).tag_texts, []
    monkeypatch.setattr(type(store), "tag_texts", lambda *given: read.append(given[2]) or tag_texts(*given))
    for name, is_named in {"norway": True, "OSLO": True, "Canon EOS R": False, "": False}.items():
        assert known.is_named(name) == is_named == Overview.read(store).is_named(name)
    read.clear()
    assert known.has_places
    assert known.has_dates
    assert read == [["taken"]]
    store.remove(["c"])
    assert not known.is_named("norway")
    store.remove(["a", "b", "d"])
    assert not known.has_places
    assert not known.has_dates  # the date of e is a number


def test_an_overview_that_is_read_ahead_is_not_read_by_the_first_request(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Any = SimpleNamespace(current=lambda: ("", now))
    now = SimpleNamespace(store=store, overview=LatestOverview(store))
    read_overview(opened)
    monkeypatch.setattr(type(store), "tag_texts", lambda *_: pytest.fail("read again"))
    app, router = FastAPI(), APIRouter(route_class=ProblemRoute)
    add_timeline(router, opened)
    app.include_router(router)
    assert len(Browsing(app).ids()) == len(PICTURES)


def test_a_fault_of_reading_ahead_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise StateError("the store is damaged")

    opened: Any = SimpleNamespace(current=lambda: ("", SimpleNamespace(overview=SimpleNamespace(current=fail))))
    read_overview(opened)
    assert "the store is damaged" in caplog.text
