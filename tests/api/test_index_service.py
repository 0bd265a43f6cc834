"""POST /index, and a query service that follows what another process indexes."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
from conftest import TOY, Service, started
from PIL import Image


def data_uri(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()


def index(service: Service, data: list[Any]) -> httpx.Response:
    return httpx.post(service.url + "/index", json={"data": data}, timeout=30)


def test_index_then_search_while_both_run(tmp_path: Path) -> None:
    first, second = TOY / "images" / "test-00001.jpg", TOY / "images" / "test-00002.jpg"
    with started("index_restful", tmp_path, "--weights", "scenes") as writer:
        item = {"uri": data_uri(first), "tags": {"filename": first.name}}
        answer = index(writer, [item, item, "data:image/png;base64,AAAA"]).json()
        docs = answer["data"]["docs"]
        assert [doc["outcome"] for doc in docs] == ["indexed", "indexed", "failed"]
        assert docs[0]["id"] == docs[1]["id"]
        assert "not a picture" in docs[2]["error"]
        again = index(writer, [item]).json()["index"]["docs"]
        assert again[0]["outcome"] == "unchanged"
        told = {"text": "what the first one shows", "image_id": docs[0]["id"], "tags": {"filename": first.name}}
        assert index(writer, [told]).json()["data"]["docs"][0]["outcome"] == "indexed"
        assert index(writer, ["data:image/png;base64,AAAA"]).status_code == 422
        assert httpx.post(writer.url + "/search", json={"data": ["x"]}).status_code == 405
        assert httpx.get(writer.url + "/healthz", timeout=20).status_code == 200

        with started("query_restful", tmp_path) as reader:
            assert len(matches(reader, "anything")) == 1
            index(writer, [{"uri": data_uri(second), "tags": {"filename": second.name}}])
            acknowledged = time.monotonic()
            while len(matches(reader, "anything")) < 2:
                assert time.monotonic() - acknowledged < 60, "the query service does not follow the store"
            served = httpx.get(f"{reader.url}/images/{docs[0]['id']}")
            assert served.content == first.read_bytes()
            assert Image.open(io.BytesIO(served.content)).size == (256, 256)

            for process in [*psutil.Process(writer.process.pid).children(recursive=True), writer.process]:
                process.kill()
            found = {match["tags"]["filename"] for match in matches(reader, "anything")}
            assert found == {first.name, second.name}


def matches(service: Service, text: str) -> list[dict[str, Any]]:
    answer = httpx.post(service.url + "/search", json={"data": [text]}, timeout=20)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"]["docs"][0]["matches"])
