"""One service that is searched and written to, and one that is not written to."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from conftest import TOY, RunApp, Service, started

from serving.http.errors import NOT_NOW
from serving.jina.ports import reserve_port_pair

CHANGES = [("POST", "/index"), ("POST", "/update"), ("POST", "/delete"), ("DELETE", "/documents/a")]


def picture(n: int) -> dict[str, Any]:
    path = TOY / "images" / f"test-{n:05}.jpg"
    uri = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
    return {"uri": uri, "tags": {"filename": path.name, "n": n}}


def post(service: Service, path: str, body: Any) -> Any:
    answer = httpx.post(service.url + path, json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def found(service: Service, **asked: Any) -> set[str]:
    return {result["filename"] for result in post(service, "/search", {"text": "a picture", **asked})["results"]}


def test_what_was_written_is_found_by_the_next_search(tmp_path: Path) -> None:
    with started("query_restful", tmp_path, "--writable", "--shards", "2", "--weights", "scenes") as service:
        assert httpx.get(service.url + "/status").json()["writable"] is True
        assert httpx.get(service.url + "/healthz", timeout=30).status_code == 200
        answer = post(service, "/index", {"data": [picture(1), picture(2), picture(1)]})
        docs = answer["data"]["docs"]
        assert answer["seq"] == 2
        assert [doc["outcome"] for doc in docs] == ["indexed"] * 3
        assert found(service, after_seq=2) == {"test-00001.jpg", "test-00002.jpg"}
        assert post(service, "/index", {"data": [picture(1)]})["index"]["docs"][0]["outcome"] == "unchanged"
        caption = {"text": "a thing by itself", "image_id": docs[0]["id"]}
        assert post(service, "/index", {"data": [caption]})["data"]["docs"][0]["outcome"] == "indexed"
        (match,) = post(service, "/search", {"image": picture(3)["uri"], "target": "text"})["results"]
        assert (match["text"], match["image_id"]) == ("a thing by itself", docs[0]["id"])

        told = post(service, "/update", {"data": [{"id": docs[1]["id"], "tags": {"year": 2020}}]})
        assert told == {"updated": 1, "unknown": []}
        assert found(service, where="tags.year = 2020") == {"test-00002.jpg"}
        told = post(service, "/delete", {"ids": [docs[0]["id"], "nobody"]})
        assert told == {"removed": {"images": 1, "captions": 1}, "unknown": ["nobody"], "seq": 5}
        assert found(service) == {"test-00002.jpg"}
        large = {"data": [{"id": docs[1]["id"], "tags": {"bytes": 3_000_000_000}}]}
        assert post(service, "/update", large)["updated"] == 1
        assert found(service, where="tags.bytes > 2999999999") == {"test-00002.jpg"}
        for half in ({"data": [{"text": "\ud800"}]}, {"data": [{"text": "x", "tags": {"a": "\ud800"}}]}):
            body = json.dumps(half)
            headers = {"Content-Type": "application/json"}
            assert httpx.post(service.url + "/index", content=body, headers=headers, timeout=30).status_code == 422
        gone = httpx.delete(f"{service.url}/documents/{docs[1]['id']}", timeout=30)
        assert gone.json()["removed"] == {"images": 1, "captions": 0}
        assert found(service) == set()


def test_one_writer_and_searches_that_go_on(run_app: RunApp, tmp_path: Path) -> None:
    with started("query_restful", tmp_path, "--writable", "--weights", "scenes") as service:
        post(service, "/index", {"data": [picture(0)]})
        for task in (("query_restful", "--writable"), ("index_restful",)):
            second = run_app("-t", *task, "-w", tmp_path, "--port", reserve_port_pair())
            assert second.returncode == 1
            assert "another process is writing" in second.stderr
        failures: list[str] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                answer = httpx.post(service.url + "/search", json={"text": "a star"}, timeout=30)
                if answer.status_code != 200 or not answer.json()["results"]:
                    failures.append(answer.text)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for n in range(1, 20):
                post(service, "/index", {"data": [picture(n)]})
        finally:
            stop.set()
            asking.join()
        assert failures == []
        assert len(found(service)) == 20
    with started("query_restful", tmp_path) as again:
        assert len(found(again)) == 20


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_a_service_that_only_reads_says_how_to_write(query_service: Service, method: str, path: str) -> None:
    answer = httpx.request(method, query_service.url + path, timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert "start it with --writable" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/index", "/update", "/delete"])
def test_an_old_client_reads_it_in_the_status(query_service: Service, path: str) -> None:
    answer = httpx.post(query_service.url + path, json={"data": ["x"], "parameters": {}}, timeout=30)
    assert answer.status_code == 403
    told = answer.json()
    assert told["status"]["code"] == "ERROR"
    assert "--writable" in told["status"]["description"]
    assert told["data"]["docs"] == told[path.strip("/")]["docs"] == []


def test_a_full_disk_stops_writing_and_not_reading(tmp_path: Path) -> None:
    with started("query_restful", tmp_path, "--writable", "--weights", "scenes") as service:
        post(service, "/index", {"data": [picture(1), picture(2)]})
        processes = psutil.Process(service.process.pid).children(recursive=True)
        limits = [process.rlimit(psutil.RLIMIT_FSIZE) for process in processes]
        for process in processes:  # files that may not grow stand for the full disk
            process.rlimit(psutil.RLIMIT_FSIZE, (1, limits[0][1]))
        refused = httpx.post(service.url + "/index", json={"data": [picture(3)]}, timeout=30)
        assert refused.status_code == 503
        assert refused.json()["status"]["description"] == NOT_NOW
        assert found(service) == {"test-00001.jpg", "test-00002.jpg"}
        assert httpx.get(service.url + "/readyz", timeout=30).status_code == 200
        for process, limit in zip(processes, limits, strict=True):
            process.rlimit(psutil.RLIMIT_FSIZE, limit)
        assert post(service, "/index", {"data": [picture(3)]})["data"]["docs"][0]["outcome"] == "indexed"
        assert found(service) == {"test-00001.jpg", "test-00002.jpg", "test-00003.jpg"}
