"""GET /map and GET /captions/random, without a Flow behind them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

from crossmodal.collection.picture_map import make_map
from crossmodal.collection.shared_state import MAP
from crossmodal.core.types import Document
from crossmodal.store.sqlite import DocumentStore, NewDocument
from serving.http.browsing import add_browsing, groups_of
from serving.http.errors import ProblemRoute

N = 6


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DocumentStore]:
    with DocumentStore(tmp_path, writable=True) as opened:
        opened.put([item(n) for n in range(N)])
        yield opened


def item(n: int) -> NewDocument:
    tags = {"filename": f"{n}.jpg", "folder": "cats" if n % 3 else "dogs"}
    vector = np.eye(N + 1, dtype=np.float32)[n]
    return NewDocument(Document(f"p{n}", "image", tags=tags), vector)


@pytest.fixture
def client(store: DocumentStore, tmp_path: Path) -> TestClient:
    now = SimpleNamespace(store=store, collection=SimpleNamespace(folder=tmp_path, root=tmp_path))
    opened: Any = SimpleNamespace(current=lambda: ("", now))
    app, router = FastAPI(), APIRouter(route_class=ProblemRoute)
    add_browsing(router, opened)
    app.include_router(router)
    return TestClient(app)


def test_without_a_map_it_says_how_to_make_one(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/map")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "make one with the command `map`" in answer.json()["detail"]
    (tmp_path / MAP).write_bytes(b"nothing")
    assert "damaged" in client.get("/map").json()["detail"]


def test_the_map_with_what_is_known_of_its_pictures(client: TestClient, store: DocumentStore, tmp_path: Path) -> None:
    (tmp_path / MAP).write_bytes(make_map(store).to_bytes())
    told = client.get("/map").json()
    assert told["ids"] == [f"p{n}" for n in range(N)]
    assert told["filenames"][1] == "1.jpg"
    assert told["groups"] == {"folder": {"values": ["cats", "dogs"], "of": [1, 0, 0, 1, 0, 0]}}
    assert (told["n"], told["method"], told["outdated"]) == (N, "pca", False)
    assert len(told["x"]) == len(told["y"]) == N
    assert max(map(abs, told["x"] + told["y"])) == 1


def test_an_older_map_says_so_and_leaves_out_what_is_gone(
    client: TestClient, store: DocumentStore, tmp_path: Path
) -> None:
    (tmp_path / MAP).write_bytes(make_map(store).to_bytes())
    assert client.get("/map").json()["outdated"] is False
    store.put([item(N)])
    store.remove(["p1"])
    told = client.get("/map").json()
    assert told["outdated"] is True
    assert told["ids"] == ["p0", "p2", "p3", "p4", "p5"]
    (tmp_path / MAP).write_bytes(make_map(store).to_bytes())
    told = client.get("/map").json()
    assert told["outdated"] is False
    assert told["ids"][-1] == f"p{N}"


def test_a_name_is_no_group() -> None:
    pictures = [Document(f"{n}", "image", tags={"name": f"{n}", "n": n % 2, "one": 1, "list": [n]}) for n in range(9)]
    told = groups_of(pictures)
    assert list(told) == ["n"]
    assert told["n"].values == ["0", "1"]
    assert groups_of([]) == {}


def test_random_captions(client: TestClient, store: DocumentStore) -> None:
    assert client.get("/captions/random").json() == {"captions": []}
    captions = [Document(f"c{n}", "text", text=f"picture {n}", image_id=f"p{n}") for n in range(N)]
    store.put([NewDocument(caption, np.eye(N + 1, dtype=np.float32)[0]) for caption in captions])
    drawn = client.get("/captions/random", params={"n": 3}).json()["captions"]
    assert len({caption["image_id"] for caption in drawn}) == 3
    assert all(caption["text"] == f"picture {caption['image_id'][1:]}" for caption in drawn)
    assert client.get("/captions/random", params={"n": 0}).status_code == 422
    assert client.get("/captions/random", params={"n": 1000}).status_code == 422
