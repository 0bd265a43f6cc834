"""Locations are hidden from clients without a key."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import httpx
import pytest
from photographs import FORMATS, encoded, photographs
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from crossmodal.core.types import Preprocessing
from crossmodal.images.decode import decode, metadata_blocks
from crossmodal.images.prepare import prepare
from crossmodal.metadata.embedded import read_embedded
from crossmodal.store.where import parse
from serving.http.location import without_metadata
from serving.middleware import PrivateLocation
from serving.middleware.keys import KeyRecord
from serving.middleware.private_location import names_location

ANSWER = {
    "results": [{"id": "a", "tags": {"place": "Oslo", "camera": "X100", "latitude": 59.9, "placed": 1}, "score": 0.5}],
    "facets": {"country": [{"value": "Norway", "n": 1}], "year": []},
    "groups": {"region": {"values": ["x"], "of": [0]}},
    "text": 'a "place" in 😀 Oslo',
}
SHOWN = {**ANSWER, "results": [{"id": "a", "tags": {"camera": "X100", "placed": 1}, "score": 0.5}],
         "facets": {"year": []}, "groups": {}}  # fmt: skip


class WithKey:
    """Stands in for ApiKeys: every request has a valid key."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["crossmodal.key"] = KeyRecord("k", "0" * 64, "read")
        await self.app(scope, receive, send)


async def in_parts(_: Request) -> Response:
    async def parts() -> Any:
        for letter in json.dumps(ANSWER).encode():
            yield bytes([letter])

    return StreamingResponse(parts(), media_type="application/problem+json; charset=utf-8")


APP = Starlette(
    routes=[
        Route("/json", lambda _: JSONResponse(ANSWER, headers={"X-Kept": "yes"}), methods=["GET", "POST"]),
        Route("/parts", in_parts),
        Route("/text", lambda _: PlainTextResponse('{"place": 1}')),
    ]
)


def answer_to(url: str, *, has_key: bool = False) -> httpx.Response:
    async def ask() -> httpx.Response:
        app: ASGIApp = PrivateLocation(APP)
        transport = httpx.ASGITransport(WithKey(app) if has_key else app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
            return await client.get(url)

    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/json", "/parts"])
def test_json_has_no_field_with_a_location(path: str) -> None:
    answer = answer_to(path)
    assert answer.json() == SHOWN
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer_to(path, has_key=True).json() == ANSWER


def test_other_answers_are_not_changed() -> None:
    assert answer_to("/text").text == '{"place": 1}'
    assert answer_to("/json").headers["x-kept"] == "yes"


@pytest.mark.parametrize(
    "query",
    ["where=tags.place = 'Oslo'", "where=width > 1 and not (tags.latitude > 1)", "where=tags.country is null",
     'where=tags."region" in (\'a\')', "near=Oslo", "near=1,2&within_km=3", "where=width>1&where=tags.longitude=1"],
)  # fmt: skip
def test_a_filter_by_location_in_the_url_is_refused(query: str) -> None:
    answer = answer_to(f"/json?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert "with a key" in answer.json()["detail"]
    assert answer_to(f"/json?{query}", has_key=True).status_code == 200


@pytest.mark.parametrize("query", ["where=tags.camera = 'place'", "where=", "where=not valid", "near=", "order=newest"])
def test_other_filters_are_not_refused(query: str) -> None:
    assert answer_to(f"/json?{query}").status_code == 200


def test_a_condition_names_a_location_at_any_depth() -> None:
    assert names_location(parse("width > 1 or (height > 1 and not tags.place like 'O%')"))
    assert names_location(parse("tags.place.city = 'Oslo'"))
    assert names_location(parse("width > 1 and near(59.9, 10.7, 20)"))
    assert not names_location(parse("tags.text = 'latitude' or filename = 'place' or tags.x.place = 1"))


@pytest.mark.parametrize("kind", range(len(FORMATS)), ids=FORMATS)
def test_a_picture_without_metadata_is_upright_and_has_none(kind: int) -> None:
    content = next(made.content for made in photographs()[kind :: len(FORMATS)] if "latitude" in made.tags)
    assert read_embedded(*metadata_blocks(content)).location
    shown = without_metadata(content)
    assert read_embedded(*metadata_blocks(shown)).location == {}
    opened = Image.open(io.BytesIO(shown))
    assert (opened.format, opened.size) == ("JPEG", decode(content)[0].size)
    assert opened.info.keys().isdisjoint({"exif", "xmp", "comment", "icc_profile", "photoshop"})


@pytest.mark.parametrize("kind", range(len(FORMATS)), ids=FORMATS)
def test_a_thumbnail_has_no_metadata(kind: int) -> None:
    content = next(made.content for made in photographs()[kind :: len(FORMATS)] if "latitude" in made.tags)
    thumbnail = prepare(content, Preprocessing(32), with_thumbnail=True).thumbnail
    assert thumbnail is not None
    assert metadata_blocks(thumbnail) == metadata_blocks(encoded("JPEG", b"", b""))
    assert Image.open(io.BytesIO(thumbnail)).info.keys().isdisjoint({"exif", "xmp", "comment", "icc_profile"})
