"""The doors of a real service: keys, limits and headers."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest
from conftest import RunApp, Service, started
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from serving.middleware.access_policy import MAX_BODY_BYTES, needed


def test_a_service_with_keys(run_app: RunApp, toy_workspace: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    reading = run_app("-t", "keys", "--keys", keys, "read").stdout.strip()
    writing = run_app("-t", "keys", "--keys", keys, "write").stdout.strip()
    assert run_app("-t", "keys", "--keys", keys, "all").returncode == 1
    assert reading not in keys.read_text()
    body = {"data": ["a star"]}
    with started("query_restful", toy_workspace, "--keys", str(keys), "--rate", "5", key=reading) as service:
        refused = httpx.post(service.url + "/search", json=body, headers={"Origin": "http://elsewhere.test"})
        assert refused.status_code == 401
        with pytest.raises(InvalidStatus), connect(service.url.replace("http", "ws") + "/", subprotocols=["bytes"]):
            pass
        assert refused.json()["status"]["code"] == "ERROR"
        assert refused.headers["access-control-allow-origin"] == "*"
        for key in (reading, writing):
            answer = httpx.post(service.url + "/search", json=body, headers={"X-API-Key": key}, timeout=30)
            assert answer.status_code == 200
        bearer = {"Authorization": f"Bearer {reading}"}
        assert httpx.get(service.url + "/status", headers=bearer, timeout=30).status_code == 200
        assert httpx.post(service.url + "/delete", json={"ids": ["x"]}, headers=bearer).status_code == 403
        problem = httpx.get(service.url + "/status")
        assert (problem.status_code, problem.headers["content-type"]) == (401, "application/problem+json")
        assert httpx.get(service.url + "/healthz", timeout=30).status_code == 200
        assert httpx.get(service.url + "/docs", timeout=30).status_code == 200
        reference = httpx.get(service.url + "/openapi.json", timeout=30).json()
        search, health = (reference["paths"]["/search"]["post"], reference["paths"]["/healthz"]["get"])
        assert {name for either in search["security"] for name in either} == {"X-API-Key", "Authorization"}
        assert "security" not in health
        assert set(reference["components"]["securitySchemes"]) == {"X-API-Key", "Authorization"}
        with httpx.Client(headers=bearer, timeout=30) as client:  # which asks faster than one connection each
            statuses = {client.get(service.url + "/status").status_code for _ in range(100)}
        assert statuses == {200, 429}
        with httpx.Client(timeout=30) as client:  # the page has more files than a burst
            assert {client.get(service.url + "/web/app.js").status_code for _ in range(50)} == {200}


def test_headers_and_the_limit_of_a_body(query_service: Service) -> None:
    answer = httpx.get(query_service.url + "/status", headers={"Origin": "http://elsewhere.test"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "server" not in answer.headers
    head = f"POST /search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {MAX_BODY_BYTES + 1}"
    with socket.create_connection(("127.0.0.1", query_service.port), timeout=30) as connection:
        connection.sendall(f"{head}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("method", "path", "access"),
    [
        ("GET", "/", None),
        ("GET", "/healthz", None),
        ("GET", "/web/page.js", None),
        ("GET", "/webx", "read"),
        ("GET", "/images/a", "read"),
        ("GET", "/docs", None),
        ("GET", "/openapi.json", None),
        ("GET", "/static-offline-docs/swagger-ui.css", None),
        ("POST", "/search", "read"),
        ("POST", "/v1/embeddings", "read"),
        ("POST", "/", "write"),
        ("POST", "/index", "write"),
        ("DELETE", "/documents/a", "write"),
        ("OPTIONS", "/search", "read"),
    ],
)
def test_what_a_request_must_be_allowed(method: str, path: str, access: str | None) -> None:
    assert needed({"type": "http", "method": method, "path": path}) == access
