"""Services on two nodes that share collections in PostgreSQL."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import TOY, RunApp, Service, started
from postgresql_server import PostgresqlServer, binaries

psycopg = pytest.importorskip("psycopg", reason="requirements-scale.txt is not installed")
NAME = "two-nodes"


def picture(n: int) -> dict[str, Any]:
    path = TOY / "images" / f"test-{n:05}.jpg"
    uri = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
    return {"uri": uri, "tags": {"filename": path.name}}


def post(service: Service, path: str, body: Any) -> httpx.Response:
    return httpx.post(service.url + path, json=body, timeout=30)


def found(service: Service, **asked: Any) -> set[str]:
    answer = post(service, "/search", {"text": "a picture", **asked})
    assert answer.status_code == 200, answer.text
    return {result["filename"] for result in answer.json()["results"]}


def test_what_one_node_writes_the_other_finds(run_app: RunApp, postgresql: PostgresqlServer, tmp_path: Path) -> None:
    store = ("--store", postgresql.url, "--collection", NAME)
    with (
        started("query_restful", tmp_path / "a", *store, "--writable", "--weights", "scenes") as writer,
        started("query_restful", tmp_path / "b", *store) as reader,
        started("query_restful", tmp_path / "d", *store) as other,
    ):
        seq = post(writer, "/index", {"data": [picture(1), picture(2)]}).json()["seq"]
        assert found(reader, after_seq=seq) == found(other, after_seq=seq) == {"test-00001.jpg", "test-00002.jpg"}
        assert found(writer) == found(reader)
        data_set = ("-d", str(TOY), "-n", "4", "--weights", "scenes")
        done = run_app("-t", "index", "-w", tmp_path / "c", *store, *data_set)  # while the service writes, too
        assert done.returncode == 0, done.stderr
        assert "images: 2 indexed, 2 unchanged, 0 failed" in done.stdout
        assert found(reader) == found(other) == found(writer) == {f"test-0000{n}.jpg" for n in range(4)}
        answers = [post(node, "/search", {"text": "two hearts", "target": "both"}).json() for node in (reader, other)]
        assert answers[0]["results"] == answers[1]["results"]
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
    answers = []
    query = ("-t", "query-t2i", "two hearts", "--where", "width > 1", "--json")
    for _ in range(2):
        asked = run_app(*query, "-w", tmp_path / "b", "--collection", NAME)
        answers.append([match["id"] for match in json.loads(asked.stdout)["matches"]])
        done = run_app("-t", "rebuild", "-w", tmp_path / "a", "--collection", NAME, "--index", "pgvector")
        assert done.returncode == 0, done.stderr
        assert "image: 3 vectors, pgvector" in done.stdout
    assert len(answers[0]) == 3
    assert answers[0] == answers[1]  # the second from the database


def test_a_query_node_of_a_standby(run_app: RunApp, postgresql: PostgresqlServer, tmp_path: Path) -> None:
    found_binaries = binaries()
    assert found_binaries is not None
    name = ("--collection", "behind")
    with started(
        "query_restful", tmp_path / "a", "--store", postgresql.url, *name, "--writable", "--weights", "scenes"
    ) as writer:
        seq = post(writer, "/index", {"data": [picture(1)]}).json()["seq"]
        standby = PostgresqlServer(found_binaries, primary=postgresql)
        try:
            done = run_app("-t", "rebuild", "-w", tmp_path / "b", "--store", standby.url, *name)
            assert done.returncode == 0, done.stderr
            lag = ("--max_lag_s", "2")
            with started("query_restful", tmp_path / "b", "--store", standby.url, *name, *lag) as node:
                until(node, 200)
                assert found(node, after_seq=seq) == found(writer, after_seq=seq) == {"test-00001.jpg"}
                status = httpx.get(node.url + "/status", timeout=10).json()
                assert (status["seq"], status["max_lag_s"]) == (seq, 2)
                assert 0 <= status["lag_s"] <= 2
                replay(standby, "pause")
                later = post(writer, "/index", {"data": [picture(2)]}).json()["seq"]
                told = post(node, "/search", {"text": "a picture", "after_seq": later})
                assert told.status_code == 503
                assert "detail" in told.json()
                until(node, 503)
                for body in ({"text": "a picture"}, {"data": ["a picture"]}):
                    told = post(node, "/search", body)
                    assert told.status_code == 503
                    assert "may lack the commits of the last" in told.json()["detail"]
                    assert "--max-lag-s allows 2" in told.json()["detail"]
                [lag_line] = [
                    line
                    for line in httpx.get(node.url + "/metrics", timeout=10).text.splitlines()
                    if line.startswith("crossmodal_lag_seconds ")
                ]
                assert float(lag_line.split()[1]) > 2
                replay(standby, "resume")
                until(node, 200)
                assert found(node, after_seq=later) == {"test-00001.jpg", "test-00002.jpg"}
                assert found(writer, after_seq=later) == found(node)
        finally:
            standby.close()


def replay(server: PostgresqlServer, action: str) -> None:
    """Pauses or resumes a standby."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"SELECT pg_wal_replay_{action}()")


def until(node: Service, status: int) -> None:
    """Waits until /readyz answers with a status."""
    deadline = time.monotonic() + 30
    while (answer := httpx.get(node.url + "/readyz", timeout=30)).status_code != status:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
