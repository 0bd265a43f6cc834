"""A real service that shows where pictures were taken only to clients with a key."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import httpx
from conftest import RunApp, run_crossmodal, started
from photographs import photographs

from crossmodal.core.types import image_id
from crossmodal.images.decode import metadata_blocks
from crossmodal.metadata.embedded import read_embedded
from crossmodal.metadata.tags import LOCATION_TAGS

PHOTOGRAPH = next(made for made in photographs() if made.tags.get("place") == "Tokyo" and "taken" in made.tags)
KEY = image_id(PHOTOGRAPH.content)
HIDDEN = {"where": "tags.place = 'Tokyo'"}


def names_in(value: Any) -> set[str]:
    """The names of all fields of a JSON value."""
    if isinstance(value, dict):
        return set(value) | set[str]().union(*map(names_in, value.values()))
    return set[str]().union(*map(names_in, value)) if isinstance(value, list) else set()


def test_without_keys_nobody_sees_locations(tmp_path: Path) -> None:
    uri = "data:image/png;base64," + base64.b64encode(PHOTOGRAPH.content).decode()
    new = ("--collection", "new", "-m", "clip", "--weights", "scenes")
    with (
        started("query_restful", tmp_path, *new, "--writable", "--private-location") as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        legacy = {"data": ["a star"], "parameters": {"where": "tags.taken is not null"}}
        answers = [
            client.post("/index", json={"data": [{"uri": uri}]}).json(),
            client.post("/search", json={"text": "a star", "where": "tags.taken is not null"}).json(),
            client.post("/search", json=legacy).json(),
            client.post("/search", json={**legacy, "header": {}}).json(),
        ]
        for answer in answers:
            assert "taken" in names_in(answer)
            assert names_in(answer).isdisjoint(LOCATION_TAGS)
        understood = client.post("/search", json={"text": "a star in Tokyo", "understand": True}).json()
        assert (understood["query"]["text"], understood.get("understood", [])) == ("a star in Tokyo", [])
        for path, body in (
            ("/search", {"text": "a star", **HIDDEN}),
            ("/search", {"text": "a star", "near": "Tokyo"}),
            ("/search", {"data": ["a star"], "parameters": HIDDEN}),
            ("/delete", HIDDEN),
        ):
            refused = client.post(path, json=body)
            assert refused.status_code == 403
            assert "with a key" in refused.json()["detail"]
        assert (
            client.post("/search", json={"data": ["a star"], "parameters": HIDDEN}).json()["status"]["code"] == "ERROR"
        )
        assert client.post("/search", files={"image": PHOTOGRAPH.content}, data=HIDDEN).status_code == 403
        for path in ("/browse/pictures", "/browse/sections", "/browse/facets"):
            for filters in (HIDDEN, {"near": "Tokyo"}, {"where": "near(35, 139, 100)"}):
                assert client.get(path, params=filters).status_code == 403
        facets = client.get("/browse/facets").json()["facets"]
        assert "camera" in facets
        assert facets.keys().isdisjoint(LOCATION_TAGS)
        assert "taken" in client.get(f"/documents/{KEY}").json()["tags"]
        assert names_in(client.get(f"/documents/{KEY}").json()).isdisjoint(LOCATION_TAGS)
        of_picture = (f"/documents/{KEY}", f"/images/{KEY}", f"/thumbnails/{KEY}")
        of_all = ("/browse/pictures", "/browse/sections", "/browse/facets", "/collections", "/status", "/metrics")
        for path in (*of_picture, *of_all):
            assert b"Tokyo" not in client.get(path).raise_for_status().content
        shown = client.get(f"/images/{KEY}")
        assert shown.headers["content-type"] == "image/jpeg"
        assert read_embedded(*metadata_blocks(shown.content)).location == {}
        for kind in ("zip", "csv", "json", "xmp"):
            saved = client.post("/download", json={"ids": [KEY], "format": kind}).raise_for_status().content
            assert b"Tokyo" not in saved
            assert b'latitude"' not in saved
        saved = client.post("/download", json={"ids": [KEY], "format": "zip"}).content
        (picture,) = (zipfile.ZipFile(io.BytesIO(saved)).read(name) for name in [f"{KEY}.jpg"])
        assert read_embedded(*metadata_blocks(picture)).location == {}


def test_with_keys_their_holders_see_locations(run_app: RunApp, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / PHOTOGRAPH.name).write_bytes(PHOTOGRAPH.content)
    own = ("-w", tmp_path, "--collection", "c", "-m", "clip", "--weights", "scenes")
    assert run_crossmodal("index", tmp_path / "pictures", *own).returncode == 0
    keys = tmp_path / "keys.json"
    key = run_app("-t", "keys", "--keys", keys, "read").stdout.strip()
    with started(
        "query_restful", tmp_path, "--collection", "c", "--keys", str(keys), "--private-location", key=key
    ) as service:
        with httpx.Client(base_url=service.url, headers={"X-API-Key": key}, timeout=30) as client:
            (result,) = client.post("/search", json={"text": "a star", **HIDDEN}).json()["results"]
            assert {name: result["tags"][name] for name in PHOTOGRAPH.tags} == PHOTOGRAPH.tags
            picture = client.get(f"/images/{KEY}")
            assert picture.content == PHOTOGRAPH.content
            assert picture.headers["cache-control"].startswith("private")
        assert httpx.get(f"{service.url}/images/{KEY}").status_code == 401
