"""The saved searches of a PostgreSQL store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crossmodal.core.errors import StateError
from crossmodal.store.postgresql_server import Connection, Server
from crossmodal.store.saved_searches import Saved, checked_name, query_json


class PostgresqlSearches:
    """As `crossmodal.store.saved_searches.SavedSearches`.

    A change is none of the documents: it leaves the version of the store, so a `reindex` meanwhile goes on.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def all(self) -> Saved:
        """As `SavedSearches.all`."""
        rows = self._server.rows("SELECT name, query FROM saved_searches ORDER BY name")
        return {name: json.loads(query) for name, query in rows}

    def put(self, name: str, query: dict[str, Any]) -> None:
        """As `SavedSearches.put`."""
        values = [checked_name(name), query_json(query)]
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO saved_searches VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET query = excluded.query",
                values,
            )

    def remove(self, name: str) -> bool:
        """As `SavedSearches.remove`."""
        with self._writing() as connection:
            return connection.execute("DELETE FROM saved_searches WHERE name = %s", [name]).rowcount > 0

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._server.connection() as connection, connection.transaction():
            if connection.execute("SELECT is_closed FROM sequence FOR UPDATE").fetchone() != (False,):
                name = self._server.name
                raise StateError(f"another state of this collection in {name} is the current one: start again")
            yield connection
