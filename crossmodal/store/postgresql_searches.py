"""The saved searches of a PostgreSQL store."""

from __future__ import annotations

import json
from typing import Any

from crossmodal.store.postgresql_server import Server
from crossmodal.store.saved_searches import Saved, checked_name, query_json


class PostgresqlSearches:
    """As `crossmodal.store.saved_searches.SavedSearches`.

    Saving a search changes no document: the version of the store stays, so that a `reindex` meanwhile goes on.
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
        with self._server.writing_beside() as transaction:
            transaction.connection.execute(
                "INSERT INTO saved_searches VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET query = excluded.query",
                values,
            )

    def remove(self, name: str) -> bool:
        """As `SavedSearches.remove`."""
        with self._server.writing_beside() as transaction:
            gone = transaction.connection.execute("DELETE FROM saved_searches WHERE name = %s", [name])
            return gone.rowcount > 0
