"""Services on two nodes that share collections in PostgreSQL."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
from conftest import TOY, RunApp, Service, started
from postgresql_server import PostgresqlServer

NAME = "two-nodes"


def picture(n: int) -> dict[str, Any]:
    path = TOY / "images" / f"test-{n:05}.jpg"
    uri = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
    return {"uri": uri, "tags": {"filename": path.name}}


def post(service: Service, path: str, body: Any) -> httpx.Response:
    return httpx.post(service.url + path, json=body, timeout=30)


def found(service: Service) -> set[str]:
    answer = post(service, "/search", {"text": "a picture"})
    assert answer.status_code == 200, answer.text
    return {result["filename"] for result in answer.json()["results"]}


def test_what_one_node_writes_the_other_finds(run_app: RunApp, postgresql: PostgresqlServer, tmp_path: Path) -> None:
    store = ("--store", postgresql.url, "--collection", NAME)
    with (
        started("query_restful", tmp_path / "a", *store, "--writable", "--weights", "scenes") as writer,
        started("query_restful", tmp_path / "b", *store) as reader,
    ):
        assert post(writer, "/index", {"data": [picture(1), picture(2)]}).status_code == 200
        assert found(reader) == found(writer) == {"test-00001.jpg", "test-00002.jpg"}
        data_set = ("-d", str(TOY), "-n", "4", "--weights", "scenes")
        done = run_app("-t", "index", "-w", tmp_path / "c", *store, *data_set)  # while the service writes, too
        assert done.returncode == 0, done.stderr
        assert "images: 2 indexed, 2 unchanged, 0 failed" in done.stdout
        assert found(reader) == found(writer) == {f"test-0000{n}.jpg" for n in range(4)}
        answer = post(writer, "/index", {"data": [{"text": "a\0b"}]})
        assert answer.status_code == 422, answer.text
        [name] = [n for n in found(reader) if n == "test-00001.jpg"]
        told = post(writer, "/delete", {"where": f"filename = '{name}'"}).json()
        assert told["removed"]["images"] == 1
        assert name not in found(reader)
    done = run_app("-t", "verify", "-w", tmp_path / "b", "--collection", NAME)  # the workspace remembers its database
    assert done.returncode == 0, done.stderr
    done = run_app("-t", "reindex", "-w", tmp_path / "b", "--collection", NAME, "--weights", "scenes")
    assert done.returncode == 0, done.stderr
    done = run_app("-t", "verify", "-w", tmp_path / "a", "--collection", NAME)
    assert done.stdout.startswith("3 images, "), done.stdout
