"""The lag of a query node: over one store, behind a standby, and when the indexes can't follow."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from sqlite3 import OperationalError
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from postgresql_server import PostgresqlServer, binaries

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Document
from crossmodal.store.protocol import Store
from crossmodal.store.records import NewDocument
from crossmodal.store.sqlite import DocumentStore
from serving.http import freshness as module
from serving.http.errors import RefusedError
from serving.http.freshness import Freshness
from serving.jina.flow_calls import UnavailableError

UNTIL_S = 20.0


class Flow:
    """Counts the calls; raises `problem` if there is one."""

    def __init__(self) -> None:
        self.n_calls, self.problem = 0, None

    async def answers(self, docs: list[Any], endpoint: str, parameters: dict[str, Any]) -> list[Any]:
        assert (docs, endpoint, parameters) == ([], "/follow", {})
        self.n_calls += 1
        if self.problem is not None:
            raise self.problem
        return []


def freshness(store: Store, flow: Any = None, max_lag_s: float = 0.0) -> Freshness:
    opened: Any = SimpleNamespace(current=lambda: ("", SimpleNamespace(store=store)))
    return Freshness(flow or Flow(), opened, max_lag_s)


def item(name: str) -> NewDocument:
    return NewDocument(Document(name, "text"), np.ones(4, np.float32) / 2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DocumentStore]:
    with DocumentStore(tmp_path, writable=True) as opened:
        yield opened


def test_the_lag_counts_from_the_last_measurement(store: DocumentStore) -> None:
    node = freshness(store)
    assert (node.lag_s(), node.bound_s()) == (None, float("inf"))
    node.check()  # no limit
    asyncio.run(node._measure())
    first = node.lag_s()
    assert first is not None
    second = node.lag_s()
    assert second is not None
    assert 0 <= first < second < UNTIL_S


@pytest.mark.parametrize(
    "error",
    [StateError("the disk is gone"), UnavailableError("dead"), RuntimeError("a bug"), OperationalError("disk I/O")],
)
def test_a_node_that_can_not_follow_refuses_searches_and_logs_why(
    store: DocumentStore, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    flow = Flow()
    node = freshness(store, flow, max_lag_s=1.0)
    with pytest.raises(RefusedError, match=r"has not measured its lag yet, and --max-lag-s allows 1: ask another node"):
        asyncio.run(node.admit(None))
    asyncio.run(node._measure())
    asyncio.run(node.admit(None))
    flow.problem = error
    node._current_at = time.monotonic() - 2.0  # as if two seconds had passed
    asyncio.run(node._measure())
    told = r"commits of the last 2\.\d s, for a reason in its log, and --max-lag-s allows 1: ask another node"
    with pytest.raises(RefusedError, match=told):
        asyncio.run(node.admit(0))
    assert f"the indexes can't follow the store: {error}" in caplog.text
    flow.problem = None
    asyncio.run(node._measure())
    asyncio.run(node.admit(0))


def test_it_measures_until_it_is_cancelled(store: DocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    flow = Flow()

    async def watched() -> None:
        task = asyncio.create_task(freshness(store, flow).watch())
        while flow.n_calls < 3:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(watched(), UNTIL_S))


def test_a_search_waits_for_the_commit_that_it_must_see(store: DocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    node = freshness(store)
    store.put([item("a")])
    asyncio.run(node.admit(1))
    later = threading.Timer(0.1, store.put, [[item("b")]])
    later.start()
    asyncio.run(node.admit(2))
    later.join()
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    with pytest.raises(RefusedError, match=r"number 99 has not arrived within 0\.05 s, the last one here is 2:"):
        asyncio.run(node.admit(99))


def test_few_searches_wait_at_the_same_time(store: DocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.2)
    node = freshness(store)

    async def many() -> list[BaseException | None]:
        return await asyncio.gather(*(node.admit(5) for _ in range(module.MAX_WAITING + 3)), return_exceptions=True)

    told = [str(outcome) for outcome in asyncio.run(many())]
    assert sum("16 searches wait for commits already: try again" in reason for reason in told) == 3
    assert sum("has not arrived" in reason for reason in told) == 16
    store.put([item(str(n)) for n in range(5)])
    assert asyncio.run(many()) == [None] * 19


# -- behind a standby


@pytest.fixture(scope="module")
def standby(postgresql: PostgresqlServer) -> Iterator[PostgresqlServer]:
    found = binaries()
    assert found is not None
    server = PostgresqlServer(found, primary=postgresql)
    yield server
    server.close()


def until(is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + UNTIL_S
    while not is_reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_standby_is_behind_while_it_does_not_replay(
    postgresql: PostgresqlServer, standby: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    from crossmodal.store.postgresql import PostgresqlStore

    schema = "behind a standby"
    with PostgresqlStore(postgresql.url, schema, writable=True) as primary:
        assert primary.behind_s() == 0
        until(lambda: _has(standby, schema))
        with (
            PostgresqlStore(standby.url, schema) as copy,
            psycopg.connect(standby.url, autocommit=True) as connection,
        ):
            until(lambda: copy.behind_s() == 0)
            node = freshness(copy, max_lag_s=1.0)
            asyncio.run(node._measure())
            connection.execute("SELECT pg_wal_replay_pause()")
            until(lambda: connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",))
            primary.put([item("a")])
            seq = primary.last_seq()
            until(lambda: copy.behind_s() > 0)
            before = copy.behind_s()
            assert copy.behind_s() > before
            known = node.lag_s()
            asyncio.run(node._measure())  # the standby counts from its last commit, the node from its last measurement
            assert known is not None
            assert known < node.bound_s() < known + UNTIL_S
            monkeypatch.setattr(module, "WAIT_S", 0.05)
            with pytest.raises(RefusedError, match=rf"number {seq} has not arrived"):
                asyncio.run(freshness(copy).admit(seq))
            connection.execute("SELECT pg_wal_replay_resume()")
            until(lambda: copy.behind_s() == 0 and copy.last_seq() == seq)
            asyncio.run(node._measure())
            asyncio.run(node.admit(seq))


def test_a_standby_that_is_cut_off_counts_from_its_last_commit(
    postgresql: PostgresqlServer, standby: PostgresqlServer
) -> None:
    import psycopg

    from crossmodal.store.postgresql import PostgresqlStore

    schema = "cut off"
    with PostgresqlStore(postgresql.url, schema, writable=True) as primary:
        primary.put([item("a")])
        until(lambda: _has(standby, schema))
        with PostgresqlStore(standby.url, schema) as copy, psycopg.connect(standby.url, autocommit=True) as connection:
            until(lambda: copy.behind_s() == 0 and copy.last_seq() == 1)
            (conninfo,) = connection.execute("SHOW primary_conninfo").fetchone() or ("",)
            for value in ("host=/nowhere", conninfo):
                escaped = str(value).replace("'", "''")
                connection.execute(f"ALTER SYSTEM SET primary_conninfo = '{escaped}'")
                connection.execute("SELECT pg_reload_conf()")
                until(lambda is_cut=value != conninfo: (copy.behind_s() > 0) == is_cut)  # type: ignore[misc]


def _has(server: PostgresqlServer, schema: str) -> bool:
    import psycopg

    with psycopg.connect(server.url) as connection:
        query = "SELECT to_regclass(quote_ident(%s) || '.sequence') IS NOT NULL"
        return connection.execute(query, [schema]).fetchone() == (True,)


# -- over gRPC and WebSocket


def test_a_search_of_a_jina_client_is_admitted_first() -> None:
    from serving.jina.client_requests import ClientRequests
    from serving.jina.router import Request

    admitted: list[int | None] = []

    async def admit(after_seq: int | None) -> None:
        admitted.append(after_seq)
        if after_seq == 9:
            raise RefusedError(503, "number 9 has not arrived")

    class Echo:
        async def answer(self, request: Any) -> tuple[bytes, bool]:
            return request.header.exec_endpoint.encode(), False

    echo: Any = Echo()
    requests = ClientRequests(echo, ("/search", "/index"), admit)
    for endpoint, parameters in (("/search", {"after_seq": 7}), ("/search", {}), ("/index", {"after_seq": 9})):
        request = Request()
        request.header.exec_endpoint = endpoint
        request.parameters.update(parameters)
        assert asyncio.run(requests.answer(requests.parsed(request.SerializeToString()))) == endpoint.encode()
    assert admitted == [7, None]
    request = Request()
    request.header.exec_endpoint = "/search"
    request.parameters.update({"after_seq": 9})
    with pytest.raises(RefusedError, match="number 9 has not arrived"):
        asyncio.run(requests.answer(request))
    for odd in (float("nan"), float("inf"), -1, "7", {"a": 1}):
        request.parameters.update({"after_seq": odd})
        with pytest.raises(InputError, match="is not a number from 0"):
            asyncio.run(requests.answer(request))
