"""POST /download, in front of a real store."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient
from stores import OpenStore
from test_saving import added, jpeg

from crossmodal.core.errors import StateError
from serving.http import downloads
from serving.jina.ports import reserve_port_pair
from serving.middleware import ConcurrencyLimit, PrivateLocation
from serving.middleware.access_policy import needed


@pytest.fixture
def client(open_store: OpenStore) -> Iterator[TestClient]:
    app = FastAPI()
    with open_store(writable=True) as store:
        ids = [added(store, jpeg(colour), filename="one.jpg", place="Oslo") for colour in ("red", "green")]
        opened: Any = SimpleNamespace(current=lambda: ("", SimpleNamespace(store=store)))
        downloads.add_downloads(app, opened)
        client = TestClient(app)
        client.ids = ids  # type: ignore[attr-defined]
        yield client


def test_a_reading_key_may_save() -> None:
    assert needed({"method": "POST", "path": "/download"}) == "read"


def test_each_format(client: Any) -> None:
    def save(**asked: Any) -> httpx.Response:
        answer: httpx.Response = client.post("/download", json={"ids": client.ids, **asked})
        assert answer.status_code == 200, answer.text
        return answer

    answer = save(format="zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="pictures.zip"'
    assert answer.headers["cache-control"] == "no-store"
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == ["one.jpg", "one (2).jpg"]
    assert zipfile.ZipFile(io.BytesIO(save(format="xmp", keywords=["a"]).content)).namelist() == [
        "one.jpg.xmp", "one (2).jpg.xmp",
    ]  # fmt: skip
    assert [one["link"] for one in json.loads(save(format="json").content)] == [
        f"http://testserver/images/{name}" for name in client.ids
    ]
    assert save(format="csv").text.startswith("id,filename,")
    assert save(format="pdf", title="two").content.startswith(b"%PDF")


@pytest.mark.parametrize(
    ("asked", "status", "detail"),
    [
        ({"ids": [], "format": "zip"}, 422, "ids"),
        ({"ids": ["x"] * 10_001, "format": "zip"}, 422, "10000"),
        ({"ids": ["nobody"], "format": "zip"}, 404, "no picture nobody"),
        ({"ids": ["x"], "format": "doc"}, 422, "format"),
        ({"ids": ["x"], "format": "zip", "quality": 1}, 422, "quality"),
    ],
)
def test_what_is_refused(client: Any, asked: Any, status: int, detail: str) -> None:
    answer = client.post("/download", json=asked)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]


def test_a_long_keyword_is_refused(client: Any) -> None:
    answer = client.post("/download", json={"ids": client.ids, "format": "xmp", "keywords": ["x" * 201]})
    assert (answer.status_code, answer.json()["detail"]) == (422, "keywords: each has at most 200 characters")


def test_few_downloads_at_once(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    n_begun = iter(range(downloads.AT_ONCE))

    def slow(*_: Any) -> Iterator[bytes]:
        if next(n_begun) == downloads.AT_ONCE - 1:
            begun.set()
        go_on.wait(30)
        yield b"done"

    monkeypatch.setattr(downloads, "parts", slow)
    asked = {"ids": client.ids, "format": "zip"}
    threads = [threading.Thread(target=client.post, args=("/download",), kwargs={"json": asked})
               for _ in range(downloads.AT_ONCE)]  # fmt: skip
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    assert client.post("/download", json=asked).status_code == 503
    go_on.set()
    for thread in threads:
        thread.join()
    n_begun = iter([0])
    assert client.post("/download", json=asked).content == b"done"


def test_a_store_that_goes_away_cuts_the_file_off(client: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    def parts(*_: Any) -> Iterator[bytes]:
        yield b"the beginning"
        raise StateError("/secret is away")

    monkeypatch.setattr(downloads, "parts", parts)
    config = uvicorn.Config(client.app, port=reserve_port_pair(), log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"http://127.0.0.1:{config.port}/download", json={"ids": client.ids, "format": "zip"})
    finally:
        server.should_exit = True
        thread.join()
    assert "Traceback" not in capfd.readouterr().err


def test_locations_are_hidden_in_all_of_it(client: Any) -> None:
    client.app.add_middleware(PrivateLocation)
    client.app.add_middleware(ConcurrencyLimit, n_at_once=1)
    for kind in ("csv", "json", "xmp", "pdf"):
        assert b"Oslo" not in client.post("/download", json={"ids": client.ids, "format": kind}).content
    answer = client.post("/download", json={"ids": client.ids, "format": "zip"})
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.read("one.jpg") != jpeg("red"), "encoded again, without metadata"
