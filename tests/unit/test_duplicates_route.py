"""GET /duplicates, without a Flow behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from pictures_with_copies import DIM, entry, recompressed, scene, unit
from starlette.testclient import TestClient
from stores import OpenStore

from crossmodal.core.errors import StateError
from crossmodal.core.types import image_id
from crossmodal.duplicates import latest
from crossmodal.duplicates.latest import LatestDuplicates
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.protocol import Store
from crossmodal.store.source_files import SourceFile
from serving.http.duplicates import add_duplicates
from serving.http.errors import NOT_NOW, ProblemRoute


@pytest.fixture
def store(open_store: OpenStore) -> Iterator[Store]:
    with open_store(writable=True) as opened:
        for seed in range(5):
            opened.put([entry(f"{seed}.jpg", scene(seed), unit(seed), [("folder", "a"), ("place", "Oslo")])])
        opened.put([entry("0 (1).jpg", recompressed(scene(0), 30), unit(9))])
        opened.put([entry("0 (2).jpg", recompressed(scene(0), 50), unit(8))])
        opened.put([entry("1 (1).jpg", recompressed(scene(1), 30), unit(7))])
        paths = ["/home/ann/pictures/2.jpg", "/home/ann/pictures/old/2.jpg"]
        opened.files.put("/home/ann", [SourceFile(path, 7, 10**9, image_id(b"2.jpg")) for path in paths])
        yield opened


@pytest.fixture
def found(store: Store, open_store: OpenStore, tmp_path: Path) -> LatestDuplicates:
    def index(store: Store, _: str) -> VectorReplica:
        return VectorReplica(store, "image", tmp_path / "index", DIM)

    collection: Any = SimpleNamespace(folder=tmp_path, store=open_store, index=index)
    return LatestDuplicates(collection, store, clock=lambda: 0.0)


@pytest.fixture
def client(found: LatestDuplicates) -> TestClient:
    opened: Any = SimpleNamespace(current=lambda: ("", SimpleNamespace(duplicates=found)))
    app, router = FastAPI(), APIRouter(route_class=ProblemRoute)
    add_duplicates(router, opened)
    app.include_router(router)
    return TestClient(app)


def ready(client: TestClient, found: LatestDuplicates, **query: Any) -> dict[str, Any]:
    client.get("/duplicates")
    found.wait(60)
    answer = client.get("/duplicates", params=query)
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def test_the_groups_of_a_level(client: TestClient, found: LatestDuplicates) -> None:
    told = ready(client, found)
    assert (told["state"], told["level"], told["n"], told["extra"], told["outdated"]) == ("ready", 2, 2, 3, False)
    first = told["groups"][0]
    assert [picture["path"] for picture in first["pictures"]] == ["a/0.jpg", "0 (1).jpg", "0 (2).jpg"]
    assert [picture["keep"] for picture in first["pictures"]] == [True, False, False]
    assert first["reason"]
    page = client.get("/duplicates", params={"offset": 1, "limit": 1}).json()
    assert [len(group["pictures"]) for group in page["groups"]] == [2]
    assert client.get("/duplicates", params={"level": 3}).json()["n"] == 0


def test_paths_are_relative(client: TestClient, found: LatestDuplicates) -> None:
    told = ready(client, found, level=1)
    assert [picture["path"] for picture in told["groups"][0]["pictures"]] == ["2.jpg", "old/2.jpg"]
    assert "ann" not in str(told)
    assert "Oslo" not in str(told)


def test_while_they_are_computed_it_answers_the_progress(
    client: TestClient, found: LatestDuplicates, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_begun, may_go_on = threading.Event(), threading.Event()
    find = latest.find

    def slow(*arguments: Any, progress: Any, **options: Any) -> Any:
        progress(0.25)
        has_begun.set()
        assert may_go_on.wait(60)
        return find(*arguments, progress=progress, **options)

    monkeypatch.setattr(latest, "find", slow)
    monkeypatch.setattr("serving.http.duplicates.WAIT_S", 0.01)
    try:
        for progress in ({0.0, 0.25}, {0.25}):  # of the first one, it may not have begun
            answer = client.get("/duplicates")
            assert (answer.status_code, answer.headers["retry-after"]) == (202, "1")
            told = answer.json()
            assert (told["state"], told["groups"]) == ("computing", [])
            assert told["progress"] in progress
            assert has_begun.wait(60)
    finally:
        may_go_on.set()
    assert ready(client, found)["state"] == "ready"


def test_after_a_change_the_earlier_ones_are_marked(client: TestClient, found: LatestDuplicates, store: Store) -> None:
    ready(client, found)
    store.put([entry("1 (2).jpg", recompressed(scene(1), 40), unit(30))])
    told = client.get("/duplicates").json()
    assert (told["outdated"], told["extra"]) == (True, 3)
    told = ready(client, found)
    assert (told["outdated"], told["extra"]) == (False, 4)


@pytest.mark.parametrize("query", ["level=4", "level=0", "limit=0", "limit=1000", "offset=-1", "level=two"])
def test_other_values_are_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"/duplicates?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_problem_is_told_in_the_log(
    client: TestClient, found: LatestDuplicates, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise StateError("the store is gone")

    monkeypatch.setattr(latest, "find", broken)
    answers = []
    for _ in range(3):
        answers.append(client.get("/duplicates"))
        found.wait(60)
    monkeypatch.undo()
    [problem, *_] = [answer.json() for answer in answers if answer.status_code == 503]
    assert problem["detail"] == NOT_NOW
    assert "the store is gone" in caplog.text
    found.wait(60)
    client.get("/duplicates")  # tells the last problem
    assert ready(client, found)["state"] == "ready"


def test_a_problem_is_not_told_when_the_store_is_back(
    client: TestClient, found: LatestDuplicates, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def gone(*_: Any, **__: Any) -> Any:
        assert asked.wait(60)
        raise StateError("the store is gone")

    monkeypatch.setattr(latest, "find", gone)
    assert client.get("/duplicates").status_code == 202
    asked.set()
    found.wait(60)
    monkeypatch.setattr(store, "data_version", gone)
    assert client.get("/duplicates").status_code == 503
    monkeypatch.undo()
    assert client.get("/duplicates").status_code in (200, 202)
