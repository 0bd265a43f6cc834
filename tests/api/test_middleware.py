"""The middleware of the service, in front of a small application under a real server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Scope

from crossmodal.core.errors import InputError, StateError
from serving import middleware
from serving.middleware import body
from serving.middleware.client_address import client_name, networks
from serving.middleware.headers import DOCS_POLICY, PAGE_POLICY
from serving.middleware.rate import Buckets

PATIENCE_S = 10.0


@pytest.fixture(autouse=True)
def _short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "LINGER_S", 0.3)


@contextmanager
def serving(app: ASGIApp, http: str = "httptools") -> Iterator[str]:
    """The address of a server of the application, which is stopped afterwards."""
    config = uvicorn.Config(
        app, http=http, loop="asyncio", ws="none", lifespan="off", log_level="critical", proxy_headers=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        wait_until(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def get(url: str) -> httpx.Response:
    """One request over a connection of its own, without the time it takes to load certificates."""
    return httpx.get(url, timeout=PATIENCE_S, verify=False)


def raw(url: str) -> closing[socket.socket]:
    host, port = url.removeprefix("http://").split(":")
    return closing(socket.create_connection((host, int(port)), timeout=PATIENCE_S))


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    told: dict[str, Any] = answer.json()
    assert answer.status_code == told["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(told) == {"type", "title", "status", "detail"}
    return told


class Sizes:
    """An application that says how large the body was, and counts its calls."""

    def __init__(self) -> None:
        self.n_calls = 0

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        self.n_calls += 1
        await JSONResponse(len(await Request(scope, receive).body()))(scope, receive, send)


# Body


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_bodies_up_to_the_limit(http: str) -> None:
    with serving(middleware.BodyLimit(Sizes(), 1_000), http) as url, httpx.Client(verify=False) as client:
        for size in (0, 1, 1_000):
            assert client.post(url, content=b"x" * size).json() == size
            assert client.post(url, content=iter([b"x" * size])).json() == size  # chunked
        assert client.get(url).json() == 0
        assert client.request("GET", url, content=b"x" * 7).json() == 7
        for content in (b"x" * 1_001, iter([b"x"] * 1_001)):
            problem = problem_of(client.post(url, content=content), 413)
            assert problem["detail"] == "the body is larger than 1,000 bytes: split the request"
        problem_of(client.request("GET", url, content=b"x" * 1_001), 413)
        assert client.post(url, content=b"x").json() == 1


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_a_client_that_sends_first_and_reads_later_still_gets_the_answer(http: str) -> None:
    app = Sizes()
    with serving(middleware.BodyLimit(app, 1_000), http) as url, httpx.Client(verify=False) as client:
        for content in (b"x" * 5_000_000, iter([b"x" * 50_000] * 100)):
            answer = client.post(url, content=content)
            problem_of(answer, 413)
            assert answer.headers["connection"] == "close"
    assert app.n_calls == 0


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize("declared", [True, False], ids=["content-length", "chunked"])
def test_too_large_is_said_before_the_end(http: str, declared: bool) -> None:
    """The rest of the body never comes, and the connection is closed."""
    door = middleware.BodyLimit(Sizes(), 1_000)
    with serving(door, http) as url, raw(url) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n")
        if declared:
            connection.sendall(b"Content-Length: 1000000\r\n\r\n")
        else:
            connection.sendall(b"Transfer-Encoding: chunked\r\n\r\n" + b"1f4\r\n" + b"x" * 500 + b"\r\n")
            connection.sendall(b"1f5\r\n" + b"x" * 501 + b"\r\n")
        answer = all_of(connection)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"larger than 1,000 bytes" in answer
        wait_until(lambda: door.held_bytes == 0)


def test_the_connection_is_closed_only_after_the_rest_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be reset under a client that is still sending, which may never see the answer."""
    monkeypatch.setattr(body, "LINGER_S", PATIENCE_S)
    with serving(middleware.BodyLimit(Sizes(), 1_000)) as url, raw(url) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert b"HTTP/1.1 413 " in connection.recv(65_536)
        for _ in range(10):
            connection.sendall(b"x" * 10_000)
            time.sleep(0.02)
        all_of(connection)  # to its end, and no reset


def test_a_client_that_asks_first_is_not_told_to_go_on() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with serving(middleware.BodyLimit(Sizes(), 1_000)) as url:
        with raw(url) as connection:
            connection.sendall(head % 1_001)
            assert connection.recv(1_000).startswith(b"HTTP/1.1 413 ")
        with raw(url) as connection:
            connection.sendall(head % 3)
            assert connection.recv(1_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"abc")
            assert b"200 OK" in connection.recv(1_000)


def test_a_body_that_drips() -> None:
    app = Sizes()
    door = middleware.BodyLimit(app, 1_000, timeout_s=0.2)
    with serving(door) as url, raw(url) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        answer = all_of(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"did not arrive within 0.2 s" in answer
        wait_until(lambda: door.held_bytes == 0)
    assert app.n_calls == 0


def test_a_client_that_goes_in_the_middle_of_its_body() -> None:
    app = Sizes()
    door = middleware.BodyLimit(app, 1_000)
    with serving(door) as url:
        with raw(url) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
            wait_until(lambda: door.held_bytes == 3)
        wait_until(lambda: door.held_bytes == 0)
        assert httpx.post(url, verify=False, content=b"x").json() == 1
    assert app.n_calls == 1


def test_room_for_the_bodies_of_all_requests() -> None:
    door = middleware.BodyLimit(Sizes(), 1_000, max_held_bytes=1_500)
    with serving(door) as url:
        with raw(url) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"x" * 900)
            wait_until(lambda: door.held_bytes == 900)
            answer = httpx.post(url, verify=False, content=b"x" * 700)
            assert "too many large requests" in problem_of(answer, 503)["detail"]
            assert answer.headers["retry-after"] == "1"
            assert httpx.post(url, verify=False, content=b"x" * 500).json() == 500
        wait_until(lambda: door.held_bytes == 0)
        assert httpx.post(url, verify=False, content=b"x" * 700).json() == 700


def test_the_body_limit_holds_for_a_route_that_streams_its_answer() -> None:
    """The route still hears of a client that goes: `receive` goes on behind the body."""
    heard = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        heard.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        heard.append(await receive())

    with serving(middleware.BodyLimit(app, 1_000)) as url:
        with raw(url) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            assert b"200 OK" in connection.recv(1_000)
        wait_until(lambda: len(heard) == 2)
    assert heard[0] == {"type": "http.request", "body": b"abc", "more_body": False}
    assert heard[1]["type"] == "http.disconnect"


# Keys


async def who(scope: Scope, receive: Any, send: Any) -> None:
    """An application that says which key the request came with."""
    key = middleware.key_of(scope)
    await JSONResponse(None if key is None else key.id)(scope, receive, send)


def needs(scope: Scope) -> Any:
    if scope["path"] in ("/", "/healthz"):
        return None
    return "write" if scope["path"] == "/index" else "read"


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def made(keys_file: Path) -> tuple[str, str]:
    """A key that may read and one that may write, both in the file."""
    (reading, read_record), (writing, write_record) = middleware.new_key("read", "a page"), middleware.new_key("write")
    middleware.write_keys(keys_file, [read_record, write_record])
    return reading, writing


def test_keys_and_what_they_are_good_for(keys_file: Path) -> None:
    reading, writing = made(keys_file)
    door = middleware.ApiKeys(who, middleware.KeyRing(keys_file), needs)
    with serving(door) as url, httpx.Client(verify=False, base_url=url) as client:
        answer = client.post("/search")
        assert "a key is required" in problem_of(answer, 401)["detail"]
        assert answer.headers["www-authenticate"] == 'Bearer realm="crossmodal"'
        for key, paths in ((reading, ["/search", "/images/a"]), (writing, ["/search", "/images/a", "/index"])):
            for headers in (
                {"Authorization": f"Bearer {key}"},
                {"X-API-Key": key},
                {"authorization": f"bearer  {key}"},
            ):
                for path in paths:
                    assert client.post(path, headers=headers).json() == key.split("_")[1]
        answer = client.post("/index", headers={"X-API-Key": reading})
        assert problem_of(answer, 403)["detail"] == "the key does not allow write access"
        challenge = 'Bearer realm="crossmodal", error="insufficient_scope", scope="write"'
        assert answer.headers["www-authenticate"] == challenge
        for path in ("/", "/healthz"):
            assert client.get(path).json() is None
            assert client.get(path, headers={"X-API-Key": "wrong"}).json() is None
            assert client.get(path, headers={"X-API-Key": reading}).json() == reading.split("_")[1]


def test_shared_caches_do_not_store_what_needs_a_key(keys_file: Path) -> None:
    async def cached(scope: Scope, receive: Any, send: Any) -> None:
        given = dict(Request(scope).query_params)
        await JSONResponse(None, headers={"Cache-Control": given["told"]} if given else {})(scope, receive, send)

    key, _ = made(keys_file)
    with (
        serving(middleware.ApiKeys(cached, middleware.KeyRing(keys_file), needs)) as url,
        httpx.Client(verify=False, base_url=url, headers={"X-API-Key": key}) as client,
    ):
        assert client.get("/images/a?told=public, max-age=9").headers["cache-control"] == "private, max-age=9"
        assert client.get("/map?told=no-cache").headers["cache-control"] == "no-cache"
        assert client.get("/search").headers["cache-control"] == "private"
        assert client.get("/?told=public, max-age=9").headers["cache-control"] == "public, max-age=9"


def test_keys_that_are_none(keys_file: Path) -> None:
    reading, writing = made(keys_file)
    mixed = "_".join([*writing.split("_")[:2], reading.split("_", 2)[2]])
    wrong = [reading[:-1], reading + "x", reading.upper(), mixed, "cm__", "cm_x_y", "x", "_", "é", "k" * 5_000]
    with (
        serving(middleware.ApiKeys(who, middleware.KeyRing(keys_file), needs)) as url,
        httpx.Client(verify=False, base_url=url) as client,
    ):
        for key in wrong:
            answer = client.get("/search", headers={b"X-API-Key": key.encode("latin-1")})
            assert problem_of(answer, 401)["detail"] == "the key is unknown"
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        for headers in ({"Authorization": f"Basic {reading}"}, {"Authorization": reading}, {"Authorization": "Bearer"}):
            problem_of(client.get("/search", headers=headers), 401)
        problem_of(client.get("/search", params={"key": reading, "api_key": reading, "access_token": reading}), 401)


def test_a_key_is_withdrawn_while_the_service_runs(keys_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    reading, writing = made(keys_file)
    records = middleware.read_keys(keys_file)
    with (
        serving(middleware.ApiKeys(who, middleware.KeyRing(keys_file), needs)) as url,
        httpx.Client(verify=False, base_url=url) as client,
    ):
        assert client.get("/search", headers={"X-API-Key": reading}).status_code == 200
        middleware.write_keys(keys_file, records[1:])
        assert client.get("/search", headers={"X-API-Key": reading}).status_code == 401
        assert client.get("/search", headers={"X-API-Key": writing}).status_code == 200
        keys_file.write_text("{")
        for _ in range(2):
            answer = client.get("/search", headers={"X-API-Key": writing})
            assert "can't be checked" in problem_of(answer, 503)["detail"]
        assert f"keys can't be checked: {keys_file}" in caplog.text
        assert client.get("/healthz", headers={"X-API-Key": writing}).status_code == 200
        keys_file.unlink()
        problem_of(client.get("/search", headers={"X-API-Key": writing}), 503)
        middleware.write_keys(keys_file, records)
        assert client.get("/search", headers={"X-API-Key": reading}).status_code == 200


def test_a_keys_file(keys_file: Path) -> None:
    key, record = middleware.new_key("read", "for the page")
    middleware.write_keys(keys_file, [record])
    assert middleware.read_keys(keys_file) == [record]
    assert stat.S_IMODE(keys_file.stat().st_mode) == 0o600
    assert os.listdir(keys_file.parent) == [keys_file.name]
    assert key.split("_", 2)[2] not in keys_file.read_text()
    assert len(key.split("_", 2)[2]) == 43  # 32 bytes in base64
    assert middleware.new_key("read")[0] != key
    with pytest.raises(InputError, match="expected 'read' or 'write'"):
        middleware.new_key("admin")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "null", '{"keys": 5}', '{"keys": [5]}', '{"keys": [{}]}', '{"keys": [{"id": "a"}]}', "\xff",
     json.dumps({"keys": [{"id": "a", "sha256": "0" * 64, "scope": "admin"}]}),
     json.dumps({"keys": [{"id": "a", "sha256": "short", "scope": "read"}]}),
     json.dumps({"keys": [{"id": "a", "sha256": "é" * 64, "scope": "read"}]}),
     json.dumps({"keys": [{"id": 5, "sha256": "0" * 64, "scope": "read"}]}),
     json.dumps({"keys": [{"id": "a", "sha256": 5, "scope": "read"}]}),
     json.dumps({"keys": [{"id": "a", "sha256": "0" * 64, "scope": "read"}] * 2})],
)  # fmt: skip
def test_a_damaged_keys_file(content: str, keys_file: Path) -> None:
    keys_file.write_bytes(content.encode("latin-1"))
    with pytest.raises(StateError, match=r"keys\.json"):
        middleware.KeyRing(keys_file)


def test_a_keys_file_that_others_may_write(keys_file: Path) -> None:
    made(keys_file)
    keys_file.chmod(0o662)
    with pytest.raises(StateError, match="chmod go-w"):
        middleware.KeyRing(keys_file)
    with pytest.raises(StateError, match="No such file"):
        middleware.KeyRing(keys_file.with_name("none"))


# Rate


def test_a_bucket_empties_and_fills() -> None:
    now = [0.0]
    buckets = Buckets(2.0, 3, 10, lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] = 0.25
    assert buckets.take("a") == pytest.approx(0.25)
    now[0] = 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]
    now[0] = 100.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_buckets_are_forgotten_oldest_first() -> None:
    buckets = Buckets(1.0, 1, 3, lambda: 0.0)
    for name in ("a", "b", "c"):
        assert buckets.take(name) == 0
    assert buckets.take("a") > 0  # and so the last to be forgotten
    assert buckets.take("d") == 0
    assert len(buckets) == 3
    assert buckets.take("a") > 0
    assert buckets.take("b") == 0


def test_too_many_requests() -> None:
    door = middleware.RateLimit(who, 0.01, 2, exempt=lambda scope: scope["path"] == "/healthz")
    with serving(door) as url, httpx.Client(verify=False, base_url=url) as client:
        assert [client.get("/").status_code for _ in range(3)] == [200, 200, 429]
        answer = client.get("/", headers={"X-Forwarded-For": "8.8.8.8", "Forwarded": "for=8.8.8.8"})
        assert "too many requests" in problem_of(answer, 429)["detail"]
        assert 50 <= int(answer.headers["retry-after"]) <= 100
        assert {client.get("/healthz").status_code for _ in range(5)} == {200}


def test_the_rate_is_of_the_key_where_there_is_one(keys_file: Path) -> None:
    reading, writing = made(keys_file)
    door = middleware.ApiKeys(middleware.RateLimit(who, 0.01, 1), middleware.KeyRing(keys_file), needs)
    with serving(door) as url, httpx.Client(verify=False, base_url=url) as client:
        for headers in ({"X-API-Key": reading}, {"Authorization": f"Bearer {writing}"}, {}, {"X-API-Key": "wrong"}):
            expected = [429, 429] if headers == {"X-API-Key": "wrong"} else [200, 429]  # wrong is as none
            assert [client.get("/", headers=headers).status_code for _ in range(2)] == expected


def test_the_rate_behind_a_trusted_proxy() -> None:
    door = middleware.RateLimit(who, 0.01, 1, trusted_proxies=["127.0.0.0/8", "10.0.0.1"])
    with serving(door) as url, httpx.Client(verify=False) as client:

        def ask(forwarded: str) -> int:
            return client.get(url, headers={"X-Forwarded-For": forwarded}).status_code

        assert [ask("8.8.8.8"), ask("8.8.8.8"), ask("9.9.9.9")] == [200, 429, 200]
        assert ask("1.2.3.4, 8.8.8.8") == 429  # what the client put before it does not count
        assert ask("8.8.8.8, 10.0.0.1") == 429


@pytest.mark.parametrize(
    ("peer", "forwarded", "name"),
    [
        ("9.9.9.9", ["1.1.1.1"], "9.9.9.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", ["1.1.1.1", "2.2.2.2"], "2.2.2.2"),
        ("10.0.0.1", ["1.1.1.1, 10.0.0.2"], "1.1.1.1"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("::ffff:10.0.0.1", ["::ffff:1.1.1.1"], "1.1.1.1"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("", ["1.1.1.1"], ""),
    ],
)
def test_which_client_it_is(peer: str, forwarded: list[str], name: str) -> None:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    scope = {"type": "http", "client": (peer, 1) if peer else None, "headers": headers}
    assert client_name(scope, networks(["10.0.0.0/8"])) == name
    assert client_name({**scope, "client": (None, 0)}, networks(["10.0.0.0/8"])) == ""  # uvicorn, all proxies
    assert client_name(scope, []) == client_name({**scope, "headers": []}, [])


# Concurrency


class Slow:
    """An application that works until it is let go, and counts how many it works on."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.n_now = self.n_most = self.n_calls = 0

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        self.n_calls += 1
        self.n_now += 1
        self.n_most = max(self.n_most, self.n_now)
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.005)
        finally:
            self.n_now -= 1
        await PlainTextResponse("done")(scope, receive, send)


def test_four_times_the_load_is_shed_at_once() -> None:
    app = Slow()
    door = middleware.ConcurrencyLimit(app, 4, max_wait_s=30, exempt=lambda scope: scope["path"] == "/healthz")
    with serving(door) as url, ThreadPoolExecutor(20) as clients:
        asked = [clients.submit(get, url) for _ in range(16)]
        wait_until(lambda: sum(answer.done() for answer in asked) == 8)  # while nothing is done yet
        assert app.n_calls == 4
        health = clients.submit(get, url + "/healthz")
        wait_until(lambda: app.n_now == 5)
        app.go.set()
        answers = [answer.result() for answer in asked]
        assert sorted(answer.status_code for answer in answers) == [200] * 8 + [503] * 8
        shed = next(answer for answer in answers if answer.status_code == 503)
        assert "the service is overloaded" in problem_of(shed, 503)["detail"]
        assert shed.headers["retry-after"] == "1"
        assert health.result().text == "done"
        assert app.n_most == 5
        assert get(url).status_code == 200


def test_who_waits_too_long_is_shed() -> None:
    app = Slow()
    door = middleware.ConcurrencyLimit(app, 1, max_wait_s=0.1)
    with serving(door) as url, ThreadPoolExecutor(2) as clients:
        first = clients.submit(get, url)
        wait_until(lambda: app.n_now == 1)
        assert get(url).status_code == 503
        door.max_wait_s = 30
        second = clients.submit(get, url)
        wait_until(lambda: door.n_waiting_now == 1)  # the place in the queue was free again
        app.go.set()
        assert [first.result().status_code, second.result().status_code] == [200, 200]
        assert door.n_waiting_now == 0


def test_clients_that_go_leak_no_places() -> None:
    app = Slow()
    with serving(middleware.ConcurrencyLimit(app, 2, max_wait_s=30)) as url:
        connections = [raw(url).__enter__() for _ in range(4)]
        for connection in connections:  # two are worked on, two wait
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: app.n_now == 2)
        for connection in connections:
            connection.close()
        app.go.set()
        wait_until(lambda: app.n_now == 0)
        app.go.clear()
        with ThreadPoolExecutor(2) as clients:
            asked = [clients.submit(get, url) for _ in range(2)]
            wait_until(lambda: app.n_now == 2)
            app.go.set()
            assert [answer.result().status_code for answer in asked] == [200, 200]


def test_a_bug_leaks_no_place() -> None:
    async def broken(scope: Scope, receive: Any, send: Any) -> None:
        raise ValueError

    with serving(middleware.ConcurrencyLimit(broken, 1, n_waiting=0)) as url:
        assert [get(url).status_code for _ in range(3)] == [500] * 3


def test_a_client_that_does_not_read_keeps_no_place() -> None:
    async def large(scope: Scope, receive: Any, send: Any) -> None:
        parts = (part for part in ["x" * 20_000_000] if scope["path"] == "/large")
        await StreamingResponse(parts)(scope, receive, send)

    with serving(middleware.ConcurrencyLimit(large, 1, n_waiting=0)) as url, raw(url) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        wait_until(lambda: get(url).status_code == 200)


def test_a_streamed_answer_keeps_its_place_to_its_end() -> None:
    go = threading.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        while not go.is_set():
            await asyncio.sleep(0.005)
        yield b"two"

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await StreamingResponse(parts())(scope, receive, send)

    door = middleware.SecurityHeaders(middleware.BodyLimit(middleware.ConcurrencyLimit(app, 1, n_waiting=0), 1_000))
    with serving(door) as url, httpx.Client(verify=False) as client:
        with client.stream("POST", url, content=b"x") as answer:
            received = answer.iter_raw()
            assert next(received) == b"one "  # it comes while the rest is still being made
            assert get(url).status_code == 503
            go.set()
            assert b"".join(received) == b"two"
        assert client.get(url).status_code == 200


# Headers, and all together


def small_app() -> FastAPI:
    app = FastAPI(redoc_url=None)

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse("<p>hello")

    @app.get("/images/a")
    def picture() -> PlainTextResponse:
        headers = {"Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "origin"}
        return PlainTextResponse("pixels", media_type="image/png", headers=headers)

    @app.get("/bug")
    def bug() -> None:
        raise ValueError

    @app.post("/search")
    @app.post("/index")
    async def search(asked: dict[str, Any]) -> dict[str, Any]:
        return asked

    @app.exception_handler(Exception)
    async def broken(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"detail": "a bug"}, status_code=500)

    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
    return app


def wrapped_whole(app: FastAPI) -> FastAPI:
    """SecurityHeaders round everything, also round Starlette's own answer to a bug."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: middleware.SecurityHeaders(build())  # type: ignore[method-assign]
    return app


def test_headers_of_every_answer() -> None:
    with serving(wrapped_whole(small_app())) as url, httpx.Client(verify=False, base_url=url) as client:
        for path, status in (("/", 200), ("/none", 404), ("/images/a", 200), ("/bug", 500), ("/docs", 200)):
            answer = client.get(path)
            assert answer.status_code == status
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == ("origin" if path == "/images/a" else "no-referrer")
        assert client.get("/").headers["content-security-policy"] == PAGE_POLICY
        assert client.get("/docs").headers["content-security-policy"] == DOCS_POLICY
        assert client.get("/none").headers["content-security-policy"] == "frame-ancestors 'none'"
        assert client.get("/images/a").headers.get_list("content-security-policy") == ["default-src 'none'"]
        elsewhere = client.get("/images/a", headers={"Origin": "http://elsewhere.test"})
        assert elsewhere.headers["access-control-allow-origin"] == "*"
        assert "cross-origin-resource-policy" not in elsewhere.headers


def everything(keys_file: Path) -> FastAPI:
    """All middleware, in the order that serving.middleware asks for; what is added last stands outermost."""

    def legacy(scope: Scope, problem: middleware.Problem) -> Any:
        if scope["path"] != "/search":
            return middleware.problem_json(scope, problem)
        told = {"status": {"code": "ERROR", "description": problem.detail}, "detail": problem.detail}
        return JSONResponse(told, problem.status)

    app = small_app()
    cors = app.user_middleware.pop()
    app.add_middleware(middleware.ConcurrencyLimit, n_at_once=4, answer=legacy)
    app.add_middleware(middleware.BodyLimit, max_bytes=100, answer=legacy)
    app.add_middleware(middleware.RateLimit, rate_per_s=0.01, burst=4, answer=legacy)
    app.add_middleware(middleware.ApiKeys, ring=middleware.KeyRing(keys_file), needs=needs, answer=legacy)
    app.user_middleware.insert(0, cors)
    return wrapped_whole(app)


def test_all_doors_together(keys_file: Path) -> None:
    reading, _ = made(keys_file)
    key, origin = {"X-API-Key": reading}, {"Origin": "http://elsewhere.test"}
    with serving(everything(keys_file)) as url, httpx.Client(verify=False, base_url=url, headers=origin) as client:
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
        assert client.options("/search", headers=asks).status_code == 200
        refused = [
            (client.post("/search", json={}), 401),
            (client.post("/search", json={"a": "b" * 100}, headers=key), 413),
        ]
        assert client.post("/search", json={"a": "b"}, headers=key).json() == {"a": "b"}
        problem_of(client.post("/index", json={}, headers=key), 403)
        assert client.post("/search", json=[], headers=key).status_code == 422
        assert client.get("/none", headers=key).status_code == 404
        refused.append((client.post("/search", json={}, headers=key), 429))
        assert client.get("/").text == "<p>hello"
        for answer, status in refused:
            assert answer.status_code == status
            assert answer.json()["status"]["code"] == "ERROR"  # the route's own shape
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_other_scopes_pass_all_doors(kind: str, keys_file: Path) -> None:
    made(keys_file)
    seen: list[tuple[Scope, Any, Any]] = []

    async def app(*call: Any) -> None:
        seen.append(call)

    async def receive() -> Message:
        return {}

    async def send(_: Message) -> None:
        return

    inner: ASGIApp = middleware.ConcurrencyLimit(app, 1)
    inner = middleware.RateLimit(middleware.BodyLimit(inner, 1), 1, 1)
    outer = middleware.SecurityHeaders(middleware.ApiKeys(inner, middleware.KeyRing(keys_file), needs))
    scope = {"type": kind}
    asyncio.run(outer(scope, receive, send))
    assert seen == [(scope, receive, send)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "pictures.test"}, 200),
        ({"Host": "PICTURES.test:45678"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "evil.test"}, 421),
        ({"Host": "pictures.test.evil.test"}, 421),
        ({"Host": "pictures.test:evil"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "pictures.test", "Origin": "https://friend.test"}, 200),
        ({"Host": "pictures.test", "Origin": "http://pictures.test"}, 200),
        ({"Host": "pictures.test:80", "Origin": "http://pictures.test:81"}, 403),
        ({"Host": "pictures.test", "Origin": "http://friend.test"}, 403),
        ({"Host": "pictures.test", "Origin": "null"}, 403),
        ({"Host": "pictures.test", "Origin": "https://friend.test.evil.test"}, 403),
    ],
)
def test_names_and_origins(headers: dict[str, str], status: int) -> None:
    app = middleware.Addresses(
        PlainTextResponse("in"), hosts=["pictures.test", "[::1]"], origins=["https://Friend.test/"]
    )
    with serving(app) as url:
        answer = httpx.post(url, headers=headers, content=b"{}")
    assert answer.status_code == status
    assert (answer.text == "in") == (status == 200)


def test_without_names_and_origins_all_may_ask() -> None:
    with serving(middleware.Addresses(PlainTextResponse("in"))) as url:
        assert httpx.get(url, headers={"Host": "x", "Origin": "http://y"}).text == "in"


@pytest.mark.parametrize(("origin", "n_passed"), [("https://friend.test", 1), ("http://evil.test", 0)])
def test_a_websocket_of_another_origin(origin: str, n_passed: int) -> None:
    passed: list[Scope] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        passed.append(scope)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "headers": [(b"host", b"x"), (b"origin", origin.encode())], "path": "/"}
    asyncio.run(middleware.Addresses(app, origins=["https://friend.test"])(scope, lambda: None, send))  # type: ignore[arg-type]
    assert len(passed) == n_passed
    assert [message["type"] for message in sent] == ["websocket.close"] * (1 - n_passed)
