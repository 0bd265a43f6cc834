"""A primary that is killed, and its standby that is promoted: what was acknowledged, and what a follower tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from postgresql_server import PostgresqlServer, binaries

from crossmodal.core.errors import StateError
from crossmodal.core.types import Document
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.records import NewDocument

psycopg = pytest.importorskip("psycopg", reason="requirements-scale.txt is not installed")
from crossmodal.store.postgresql import PostgresqlStore  # noqa: E402

DIM = 4
UNTIL_S = 60.0


def item(name: str) -> NewDocument:
    return NewDocument(Document(name, "text"), np.eye(DIM, dtype=np.float32)[len(name) % DIM])


@pytest.fixture
def start() -> Iterator[Callable[..., PostgresqlServer]]:
    """Starts a server."""
    found = binaries()
    if found is None:
        pytest.skip("no PostgreSQL server runs here")
    servers: list[PostgresqlServer] = []

    def started(primary: PostgresqlServer | None = None, **options: str) -> PostgresqlServer:
        servers.append(PostgresqlServer(found, primary, **options))
        return servers[-1]

    yield started
    for server in reversed(servers):
        server.close()


def promote(server: PostgresqlServer) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        assert connection.execute("SELECT pg_promote()").fetchone() == (True,)


def test_a_synchronous_standby_has_all_that_was_acknowledged(
    start: Callable[..., PostgresqlServer], tmp_path: Path
) -> None:
    primary = start(synchronous_standby_names="*", synchronous_commit="remote_apply")
    standby = start(primary)
    both = f"{primary.url},{standby.folder}&target_session_attrs=read-write"
    acknowledged: list[str] = []
    is_done = threading.Event()

    def write(store: PostgresqlStore, writer: str) -> None:
        n = 0
        while not is_done.is_set():
            try:
                store.put([item(f"{writer}{n}")])
            except StateError:
                time.sleep(0.01)  # and again: a known document is unchanged
                continue
            acknowledged.append(f"{writer}{n}")
            if writer == "a":  # the other node reads at once what this one wrote
                with PostgresqlStore(standby.url, "store") as copy:
                    assert copy.document(f"a{n}") is not None
            n += 1

    with PostgresqlStore(both, "store", writable=True) as one, PostgresqlStore(both, "store", writable=True) as two:
        assert one.acknowledged() == "remote_apply"
        index = VectorReplica(two, "text", tmp_path, DIM)
        writers = [threading.Thread(target=write, args=given) for given in ((one, "a"), (two, "b"))]
        for writer in writers:
            writer.start()
        wait_for(lambda: len(acknowledged) > 30)
        index.refresh()
        primary.kill()
        n_before = len(acknowledged)
        promote(standby)
        wait_for(lambda: len(acknowledged) > n_before + 30)
        is_done.set()
        for writer in writers:
            writer.join()
        assert one.acknowledged() == "one machine"
        assert set(acknowledged) == {document.id for document in one.by_keys(one.keys("text").tolist()).values()}
        index.refresh()
        assert len(index) == len(acknowledged)
        assert index.epoch == one.data_version()[0] == 1


@pytest.mark.parametrize(
    ("n_new", "told"),
    [
        (1, "has lost 2 changes, those with the numbers 4 to 5: a standby that lacks them was promoted"),
        (9, "may have lost changes up to the number 5: a standby that lacks them was promoted"),
    ],
)
def test_what_an_asynchronous_standby_lacks_is_named(
    start: Callable[..., PostgresqlServer], tmp_path: Path, caplog: pytest.LogCaptureFixture, n_new: int, told: str
) -> None:
    primary = start()
    with PostgresqlStore(primary.url, "store", writable=True) as store:
        store.put([item("kept 1"), item("kept 2")])
    standby = start(primary)
    both = f"{primary.url},{standby.folder}&target_session_attrs=read-write"
    with PostgresqlStore(both, "store", writable=True) as store:
        assert store.acknowledged() == "one machine"
        index = VectorReplica(store, "text", tmp_path, DIM)
        standby.stop()
        store.put([item("lost 1"), item("lost 2"), item("lost 3")])
        index.refresh()
        primary.kill()
        standby.start()
        with PostgresqlStore(standby.url, "store") as copy:
            assert copy.acknowledged() == "primary decides"
        promote(standby)
        store.put([item(f"new {n}") for n in range(n_new)])
        assert caplog.text == ""
        index.refresh()
        assert len(index) == 2 + n_new
    assert told in caplog.text
    assert "The index of the modality text starts over; index the newest documents again" in caplog.text


def wait_for(is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + UNTIL_S
    while not is_reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)
