"""One collection in a folder and in PostgreSQL: services answer alike; a slow database, and one that is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import TOY, RunApp, Service, run_crossmodal, started
from photographs import PLACES, Block, sexagesimal
from PIL import Image
from postgresql_server import USER, PostgresqlServer

from crossmodal.collection.collection import Collection
from crossmodal.collection.picture_map import PictureMap
from crossmodal.collection.shared_state import MAP

psycopg = pytest.importorskip("psycopg", reason="requirements-scale.txt is not installed")
N = 40
NAME = "alike"
OF_THE_STORE = {"took_ms", "timings_ms", "store", "lag_s", "uri"}
"""What an answer says of this service and this moment."""
FILTERS: tuple[dict[str, Any], ...] = (
    {}, {"after": "2015"}, {"before": "2016-05"}, {"near": "Paris"}, {"near": "48.86,2.29", "within_km": 5},
    {"camera": "pixel"}, {"folder": ""}, {"folder": "b"}, {"where": "width > 50 and not tags.taken > '2015'"},
    {"where": "tags.country = 'France' or filename like '%7%'"}, {"where": "text like '%heart%'"}, {"where": "("},
    {"near": "Nowhere at all"},
)  # fmt: skip
TAGS: tuple[dict[str, Any], ...] = (
    {"a": {"b": [1, 2.5, None, True]}, "": "empty", "é": "ü"}, {"a": {"b": None, "c": 1}}, {"taken": None},
    {"labels": ["a dog", "new"], "country": 3, "taken": 5}, {"big": 2**63, "huge": 1.1e300, "tiny": 1e-320, "z": -0.0},
)  # fmt: skip


def write_pictures(folder: Path) -> None:
    """Pictures with captions, most with a time, a place and a camera, in two folders; one of them twice."""
    lines = (TOY / "captions.txt").read_text().splitlines()
    places = [point for point, names in PLACES.items() if names[0]]
    for number in range(N):
        name = f"test-{number:05d}.jpg"
        block = Block("<")
        block.text("main", 0x0110, ("Pixel 8", "KODAK C813")[number % 2])
        if number % 5:
            block.text("exif", 0x9003, f"{2012 + number % 7}:0{1 + number % 9}:11 10:20:{number}")
        if number % 3:
            latitude, longitude = places[number % len(places)]
            block.text("gps", 1, "S" if latitude < 0 else "N")
            block.text("gps", 3, "W" if longitude < 0 else "E")
            block.rationals(2, sexagesimal(latitude, 0))
            block.rationals(4, sexagesimal(longitude, 0))
        path = folder / "images" / "ab"[number % 2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = b"Exif\0\0" + block.written()
        Image.open(TOY / "images" / name).save(path, exif=exif)
    Image.open(path).resize((48, 48)).save(path.with_name("copy.jpg"))
    kept = [line for line in lines if line < f"test-{N:05d}" or line.startswith("image,")]
    (folder / "captions.txt").write_text("\n".join(kept) + "\n")


@pytest.fixture(scope="module")
def database(postgresql: PostgresqlServer) -> str:
    """The address of a database of this module."""
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {NAME}")
    return postgresql.url_of(database=NAME)


@pytest.fixture(scope="module")
def services(
    run_app: RunApp, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Service]]:
    """Services that write: one to a folder, the other to its copy in the database."""
    folder = tmp_path_factory.mktemp("alike")
    write_pictures(folder)
    own = ("-w", folder / "w", "--collection", NAME)
    done = run_crossmodal("index", folder, *own, "--weights", "scenes")
    assert done.returncode == 0, done.stderr
    collection = Collection.open(folder / "w" / NAME)
    with collection.store() as store:
        keys = store.keys("image")
        points = np.stack([keys, keys], axis=1).astype(np.float32) / keys.max()
        collection.write(MAP, PictureMap(keys, points, "pca", store.last_seq(), store.store_id()).to_bytes())
    done = run_app("-t", "migrate", *own, "--to", database)
    assert done.returncode == 0, done.stderr
    how, shared = ("--writable", "--collection", NAME), ("--store", database)
    with (
        started("query_restful", folder / "w", *how) as in_folder,
        started("query_restful", folder / "cache", *how, *shared) as in_database,
    ):
        yield in_folder, in_database


def plain(value: Any) -> Any:
    """An answer without `OF_THE_STORE`; numbers as floats, because PostgreSQL gives back 1e300 as an integer."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items() if name not in OF_THE_STORE}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Both:
    """Sends a request to both services, and checks that they answer alike."""

    def __init__(self, services: tuple[Service, Service], client: httpx.Client) -> None:
        self._urls = [service.url for service in services]
        self._client = client

    def __call__(self, method: str, path: str, **how: Any) -> Any:
        answers = [self._client.request(method, url + path, **how) for url in self._urls]
        told = f"{method} {path} {how}"
        assert answers[0].status_code == answers[1].status_code, (told, [answer.text for answer in answers])
        kinds = [answer.headers["content-type"] for answer in answers]
        assert kinds[0] == kinds[1], told
        if "json" not in kinds[0]:
            one, other = (a.content.replace(url.encode(), b"") for a, url in zip(answers, self._urls, strict=True))
            assert one == other, told
            return one
        one, other = (plain(answer.json()) for answer in answers)
        assert one == other, told
        return one

    def search(self, **asked: Any) -> Any:
        return self("POST", "/search", json=asked)


@pytest.fixture
def both(services: tuple[Service, Service]) -> Iterator[Both]:
    """Both services."""
    with httpx.Client(timeout=30) as client:
        yield Both(services, client)


def compare_views(both: Both) -> list[str]:
    """Compares what the routes without a query answer; returns the ids of the pictures."""
    for path in ("/status", "/collections", "/map", "/searches", "/browse/facets"):
        both("GET", path)
    for order in ("newest", "oldest", "folder"):
        both("GET", "/browse/sections", params={"order": order})
        found = both("GET", "/browse/pictures", params={"order": order, "limit": 1000})
    both.search(text="a star", top_k=500, target="both")
    return [picture["id"] for picture in found["pictures"]]


def test_every_route_answers_alike(both: Both) -> None:
    ids = compare_views(both)
    assert both("GET", "/map")["outdated"] is False
    for given in FILTERS:
        for order in ("newest", "folder"):
            both("GET", "/browse/sections", params={**given, "order": order})
            both("GET", "/browse/pictures", params={**given, "order": order, "offset": 3, "limit": 7})
        both("GET", "/browse/facets", params=given)
        both.search(text="two hearts", target="both", top_k=30, **given)
        both.search(text="two hearts", order="oldest", offset=2, **given)
    for text in ("a star in Paris in 2014", "2013", "a star -red", "نجمة"):
        both.search(text=text, understand=True)
    for picture in (*ids[:5], "none"):
        for route in ("documents", "images", "thumbnails"):
            both("GET", f"/{route}/{picture}")
        both.search(like=picture, target="both")
        both.search(text="red", likes=[picture], unlikes=[ids[9]], vectors=True)
    for level in (1, 2, 3):
        while both("GET", f"/duplicates?level={level}").get("state") == "computing":
            pass
    for kind in ("zip", "csv", "sheet", "sidecars"):
        both("POST", "/download", json={"ids": ids[:3], "format": kind})
    both("POST", "/encode", json={"data": [{"text": "a star"}]})


def test_changes_have_the_same_effect(both: Both) -> None:
    ids = compare_views(both)
    for _ in range(2):  # the second time, it is not there any more
        both("DELETE", f"/documents/{ids[0]}")
    both("POST", "/delete", json={"ids": [ids[1], "none", ids[1]]})
    both("POST", "/delete", json={"where": "tags.place = 'Rome'"})
    for place, tags in enumerate(TAGS):
        both("POST", "/update", json={"data": [{"id": ids[5 + place % 2], "tags": tags}, {"id": "none", "tags": {}}]})
        both("GET", f"/documents/{ids[5 + place % 2]}")
    for name in ("b", "A", "ü", "x/y"):
        both("PUT", f"/searches/{name}", json={"request": {"text": "a star"}, "address": "/?q=a+star"})
    both("DELETE", "/searches/A")
    both("DELETE", "/searches/none")
    compare_views(both)


def test_a_slow_database_does_not_stop_other_requests(services: tuple[Service, Service], database: str) -> None:
    _, service = services
    [first, *_] = httpx.get(f"{service.url}/browse/pictures").json()["pictures"]
    for asked in ({"like": first["id"]}, {"text": "a star", "likes": [first["id"]]}):
        answers: list[int] = []

        def search(asked: dict[str, Any] = asked, answers: list[int] = answers) -> None:
            answers.append(httpx.post(f"{service.url}/search", json=asked, timeout=30).status_code)

        with psycopg.connect(database) as locking:
            locking.execute(f"LOCK TABLE crossmodal_{NAME}.vectors IN ACCESS EXCLUSIVE MODE")
            thread = threading.Thread(target=search)
            thread.start()
            query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while locking.execute(query).fetchone() == (0,):
                pass
            assert httpx.get(f"{service.url}/models", timeout=10).status_code == 200
            assert not answers
        thread.join()
        assert answers == [200]


def test_metrics_do_not_wait_for_a_database_that_does_not_answer(
    services: tuple[Service, Service], database: str
) -> None:
    _, service = services

    def metrics() -> list[str]:
        return httpx.get(f"{service.url}/metrics", timeout=20).text.splitlines()

    with psycopg.connect(database) as locking:
        locking.execute(f"LOCK TABLE crossmodal_{NAME}.sequence IN ACCESS EXCLUSIVE MODE")
        for _ in range(2):  # the second finds the query of the first
            assert {"crossmodal_store_up 0.0", "crossmodal_image_documents NaN"} <= set(metrics())
    deadline = time.monotonic() + 30
    while "crossmodal_store_up 1.0" not in metrics():
        assert time.monotonic() < deadline
    assert "crossmodal_image_documents NaN" not in metrics()


def test_a_database_that_is_away_is_told_everywhere(
    services: tuple[Service, Service], postgresql: PostgresqlServer
) -> None:
    _, service = services
    [first, *_] = httpx.get(f"{service.url}/browse/pictures").json()["pictures"]
    routes: dict[str, tuple[str, ...]] = {
        "GET": (
            "/status", "/map", "/collections", "/searches", "/captions/random", "/browse/sections", "/browse/pictures",
            "/browse/facets", "/duplicates", "/readyz", "/healthz", "/metrics", f"/documents/{first['id']}",
            f"/images/{first['id']}", f"/thumbnails/{first['id']}",
        ),
        "DELETE": (f"/documents/{first['id']}", "/searches/b"),
    }  # fmt: skip
    searches = ({"text": "a star"}, {"like": first["id"]}, {"data": ["a star"]})

    def answers() -> dict[str, httpx.Response]:
        got = {path: httpx.request(way, service.url + path) for way, paths in routes.items() for path in paths}
        return got | {str(body): httpx.post(f"{service.url}/search", json=body) for body in searches}

    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {NAME} ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [NAME])
        away = answers()
        assert "crossmodal_image_documents NaN" in away["/metrics"].text
        expected = {**dict.fromkeys(away, 503), "/metrics": 200}
        assert {name: answer.status_code for name, answer in away.items()} == expected
        for answer in away.values():  # nothing of the server's address, user and database
            assert not any(word in answer.text for word in (str(postgresql.folder), USER, NAME, "postgresql"))
        connection.execute(f"ALTER DATABASE {NAME} ALLOW_CONNECTIONS true")
    while httpx.get(f"{service.url}/readyz", timeout=30).status_code != 200:  # it repeats its answer for a second
        time.sleep(0.1)
    again = {name: answer.status_code for name, answer in answers().items()}
    assert set(again.values()) <= {200, 404}, again
    assert again["/map"] == 200
