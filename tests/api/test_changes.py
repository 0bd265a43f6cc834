"""Taking out and changing documents over HTTP, and a change of model under a running service."""

from __future__ import annotations

import base64
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from conftest import TOY, RunApp, Service, run_crossmodal, started

from crossmodal.encoders.clip import BUNDLED_FOLDER


def post(service: Service, path: str, body: Any) -> httpx.Response:
    return httpx.post(service.url + path, json=body, timeout=30)


def fill(service: Service, n: int) -> list[str]:
    """Indexes pictures with a caption each; returns their ids."""
    pictures = [TOY / "images" / f"test-0000{i}.jpg" for i in range(n)]
    uris = ["data:image/jpeg;base64," + base64.b64encode(picture.read_bytes()).decode() for picture in pictures]
    items = [
        {"uri": uri, "tags": {"filename": p.name, "n": i}}
        for i, (uri, p) in enumerate(zip(uris, pictures, strict=True))
    ]
    ids = [doc["id"] for doc in post(service, "/index", {"data": items}).json()["data"]["docs"]]
    captions = [{"text": f"picture {i}", "image_id": own} for i, own in enumerate(ids)]
    assert post(service, "/index", {"data": captions}).status_code == 200
    return ids


def found(service: Service, **parameters: Any) -> dict[str, Any]:
    answer = post(service, "/search", {"data": ["a picture"], "parameters": parameters})
    assert answer.status_code == 200, answer.text
    matches = answer.json()["data"]["docs"][0]["matches"]
    return {match["tags"]["filename"]: match["tags"] for match in matches}


def test_deleting_and_updating_while_queries_are_served(tmp_path: Path) -> None:
    with (
        started("index_restful", tmp_path, "--weights", "scenes") as writer,
        started("query_restful", tmp_path) as reader,
    ):
        ids = fill(writer, 4)
        assert set(found(reader)) == {f"test-0000{i}.jpg" for i in range(4)}
        (caption,) = post(reader, "/search", {"text": "picture 2", "target": "text", "top_k": 1}).json()["results"]
        assert (caption["filename"], caption["tags"]) == ("test-00002.jpg", {})
        told = post(writer, "/delete", {"ids": [ids[0], "nobody"]}).json()
        assert told == {"removed": {"images": 1, "captions": 1}, "unknown": ["nobody"], "seq": told["seq"]}
        assert set(found(reader)) == {f"test-0000{i}.jpg" for i in range(1, 4)}
        assert httpx.get(f"{reader.url}/images/{ids[0]}").status_code == 404
        assert httpx.delete(f"{writer.url}/documents/{ids[1]}", timeout=30).json()["removed"]["captions"] == 1
        for unknown in (ids[1], "where"):
            assert httpx.delete(f"{writer.url}/documents/{unknown}", timeout=30).status_code == 404

        change = {"id": ids[2], "tags": {"n": None, "year": 2020}}
        assert post(writer, "/update", {"data": [change, {"id": "nobody", "tags": {}}]}).json() == {
            "updated": 1, "unknown": ["nobody"],
        }  # fmt: skip
        assert found(reader)["test-00002.jpg"] == {"filename": "test-00002.jpg", "year": 2020}
        assert set(found(reader, where="tags.year >= 2020")) == {"test-00002.jpg"}
        assert found(reader, where="tags.year < 2020") == {}
        told = post(writer, "/delete", {"where": "tags.year = 2020 and modality = 'image'"}).json()
        assert told == {"removed": {"images": 1, "captions": 1}, "unknown": [], "seq": told["seq"]}
        assert set(found(reader)) == {"test-00003.jpg"}

        for path, body in (
            ("/delete", {}),
            ("/delete", {"ids": ["a"], "where": "width > 1"}),
            ("/delete", {"where": "width >"}),
            ("/update", {"data": []}),
            ("/update", {"data": [{"id": "a"}]}),
        ):
            assert post(writer, path, body).status_code == 422
        assert post(reader, "/search", {"data": ["x"], "parameters": {"where": "nonsense"}}).status_code == 422
        assert post(reader, "/delete", {"ids": [ids[3]]}).status_code == 403
        assert set(found(reader)) == {"test-00003.jpg"}


def test_a_running_service_goes_over_to_another_model_and_back(run_app: RunApp, tmp_path: Path) -> None:
    folder, weights, workspace = tmp_path / "pictures", tmp_path / "other-weights", tmp_path / "w"
    folder.mkdir()
    for n in range(3):
        shutil.copy(TOY / "images" / f"test-0000{n}.jpg", folder)
    shutil.copytree(BUNDLED_FOLDER, weights)
    own = ("-w", workspace, "--collection", "toy-data", "-m", "clip")
    in_torch = ("--engine", "torch")  # no conversion
    assert run_crossmodal("index", folder, "--weights", "scenes", *own, *in_torch).returncode == 0
    with started("query_restful", workspace, *in_torch) as service:
        failures: list[str] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                answer = post(service, "/search", {"data": ["a star"]})
                docs = answer.json()["data"]["docs"] if answer.status_code == 200 else []
                if not docs or len(docs[0]["matches"]) != 3:
                    failures.append(answer.text)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            done = run_app("-t", "reindex", "--weights", weights, *own, *in_torch)
            assert done.returncode == 0, done.stderr
            wait_for_model(service, str(weights))
            assert run_app("-t", "rollback", *own[:4]).returncode == 0
            wait_for_model(service, "scenes")
        finally:
            stop.set()
            asking.join()
        assert failures == []


def wait_for_model(service: Service, weights: str) -> None:
    deadline = time.monotonic() + 30
    while httpx.get(service.url + "/status", timeout=10).json()["model"]["weights"] != weights:
        assert time.monotonic() < deadline, f"the service does not go over to {weights}"
        time.sleep(0.1)
