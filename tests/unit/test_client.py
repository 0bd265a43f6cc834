"""The Python client: what it sends, what it reads, and what it raises."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from crossmodal import client as module
from crossmodal.client import AsyncClient, Client, NewItem, RefusedError, ServiceError
from crossmodal.core.errors import CrossModalError, InputError, StateError

RESULT = {
    "id": "a", "modality": "image", "score": 0.5, "text": "", "captions": ["two hearts"], "image_id": "a",
    "image": "/images/a", "thumbnail": "/thumbnails/a", "filename": "a.jpg", "width": 8, "height": 6, "tags": {"x": 1},
    "vector": [0.6, 0.8], "of_a_later_version": True,
}  # fmt: skip
FOUND = {
    "model": "clip scenes", "collection": "toy", "took_ms": {"total": 3.0}, "n": 2, "more": True,
    "results": [RESULT, {**RESULT, "id": "b", "modality": "text", "text": "two hearts"}], "query": {"target": "both"},
}  # fmt: skip

Handler = Callable[[httpx.Request], httpx.Response]


def answering(told: Any, status: int = 200, headers: dict[str, str] | None = None) -> tuple[Handler, list[Any]]:
    """A service that always answers the same, and what it was sent."""
    sent: list[Any] = []

    def handle(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        sent.append((request.method, request.url.raw_path.decode(), body, request.headers))
        return httpx.Response(status, json=told, headers=headers)

    return handle, sent


def client_of(handler: Handler, key: str = "") -> Client:
    return Client("http://service.test", key=key, transport=httpx.MockTransport(handler))


def test_a_search_sends_what_is_given_and_no_more() -> None:
    handler, sent = answering(FOUND)
    with client_of(handler) as client:
        client.search("two hearts", top_k=5)
        client.search(image=b"jpeg", exclude=["red"], mix=0.0, where="width > 1", min_score=0.0)
    (method, path, first, _), (_, _, second, _) = sent
    assert (method, path) == ("POST", "/search")
    assert first == {"text": "two hearts", "exclude": [], "top_k": 5, "offset": 0, "vectors": False}
    assert base64.b64decode(second["image"].partition(",")[2]) == b"jpeg"
    assert (second["exclude"], second["mix"], second["min_score"]) == (["red"], 0.0, 0.0)


def test_a_search_is_answered_in_types() -> None:
    handler, _ = answering(FOUND)
    with client_of(handler) as client:
        found = client.search("x")
    assert [hit.id for hit in found.images] == ["a"]
    assert [hit.text for hit in found.captions] == ["two hearts"]
    hit = found.results[0]
    assert (hit.score, hit.tags, hit.relevance) == (0.5, {"x": 1}, None)
    assert isinstance(hit.vector, np.ndarray)
    assert hit.vector.dtype == np.float32


def test_a_picture_may_be_a_file(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"jpeg")
    handler, sent = answering({"vectors": [{"modality": "image", "vector": [1.0, 0.0]}]})
    with client_of(handler) as client:
        assert client.encode(images=[picture]).shape == (1, 2)
        with pytest.raises(InputError, match="can't be read"):
            client.search(image=tmp_path / "none.jpg")
    assert len(sent) == 1


def test_the_other_calls() -> None:
    def read(told: Any, call: Callable[[Client], Any]) -> tuple[Any, Any]:
        handler, sent = answering(told)
        with client_of(handler) as client:
            return call(client), sent[0][:3]

    docs = [{"id": "a", "outcome": "indexed"}, {"id": "b", "outcome": "failed", "error": "damaged"}]
    items = [NewItem(picture=b"x", tags={"year": 2020}), NewItem(text="a star", image_id="a")]
    indexed, (_, path, body) = read({"data": {"docs": docs}}, lambda c: c.index(items))
    assert [one.outcome for one in indexed] == ["indexed", "failed"]
    assert (path, body["data"][1]["text"], body["data"][0]["tags"]) == ("/index", "a star", {"year": 2020})

    unknown, sent = read({"updated": 1, "unknown": ["b"]}, lambda c: c.update({"a": {"x": None}}))
    assert unknown == ["b"]
    assert sent == ("POST", "/update", {"data": [{"id": "a", "tags": {"x": None}}]})

    removed, sent = read({"removed": {"images": 1, "captions": 5}, "unknown": []}, lambda c: c.delete(["a"]))
    assert (removed.images, removed.captions) == (1, 5)
    assert sent == ("POST", "/delete", {"ids": ["a"]})

    stored = {**RESULT, "mime_type": "image/jpeg", "captions": [{"id": "c", "text": "t", "tags": {}}]}
    document, sent = read(stored, lambda c: c.document("../a b"))
    assert document.captions[0].text == "t"
    assert sent[:2] == ("GET", "/documents/..%2Fa%20b")

    told = {"version": "1", "serves": "/search", "collection": "toy", "model": {}, "images": 2, "captions": 3}
    assert read(told, lambda c: c.status())[0].captions == 3


def test_the_key_goes_into_a_header() -> None:
    handler, sent = answering(FOUND)
    with client_of(handler, key="cm_1_secret") as client:
        client.search("x")
    assert sent[0][3]["x-api-key"] == "cm_1_secret"


@pytest.mark.parametrize(
    ("status", "kind", "base"),
    [(422, RefusedError, InputError), (404, RefusedError, InputError), (401, RefusedError, InputError),
     (429, ServiceError, StateError), (500, ServiceError, StateError), (503, ServiceError, StateError)],
)  # fmt: skip
def test_errors_are_ours(status: int, kind: type[CrossModalError], base: type[CrossModalError]) -> None:
    handler, _ = answering({"detail": "because"}, status, {"Retry-After": "3"})
    with client_of(handler) as client, pytest.raises(kind, match="because") as caught:
        client.search("x")
    assert isinstance(caught.value, base)
    assert caught.value.status == status  # type: ignore[attr-defined]
    assert ("try again in 3 s" in str(caught.value)) == (kind is ServiceError)


def test_a_service_that_is_not_there() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with client_of(refuse) as client, pytest.raises(ServiceError, match="is the service running"):
        client.status()


@pytest.mark.parametrize("told", [[], {}, {"results": [{}]}, None, "x"])
def test_an_answer_of_something_else(told: Any) -> None:
    handler, _ = answering(told)
    with client_of(handler) as client, pytest.raises(ServiceError, match="unexpected response"):
        client.search("x")


def test_an_item_is_a_picture_or_a_text() -> None:
    handler, _ = answering({})
    with client_of(handler) as client, pytest.raises(InputError, match="one of the two"):
        client.index([NewItem()])


def test_the_async_client_does_the_same() -> None:
    handler, sent = answering(FOUND)

    async def search() -> module.Found:
        async with AsyncClient("http://service.test", transport=httpx.MockTransport(handler)) as client:
            return await client.search("two hearts", top_k=5)

    with client_of(handler) as client:
        assert client.search("two hearts", top_k=5).query == asyncio.run(search()).query
    assert sent[0][:3] == sent[1][:3]


def test_both_clients_have_the_same_calls_with_their_signatures() -> None:
    def calls(kind: type) -> dict[str, str]:
        found = {name: vars(kind)[name] for name in vars(kind) if hasattr(vars(kind)[name], "call")}
        return {name: str(inspect.signature(one.call)) for name, one in found.items()}

    assert calls(Client) == calls(AsyncClient)
    assert set(calls(Client)) == {"search", "encode", "index", "update", "delete", "document", "status"}
    with Client("http://service.test") as client:
        assert "top_k" in inspect.signature(client.search).parameters
        assert client.search.__doc__ == Client.search.__doc__
