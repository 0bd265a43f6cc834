"""Searches that users have given a name; they are kept with the collection."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Protocol

from crossmodal.core.errors import InputError
from crossmodal.store.database import Database

MAX_NAME = 100
_to_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, allow_nan=False).encode

Saved = dict[str, dict[str, Any]]
"""The query of each name, as JSON; `docs/save.md` says what is in it."""


class SavedSearches(Protocol):
    """The saved searches of a store."""

    def all(self) -> Saved:
        """All searches by name, in the order of the names."""
        ...

    def put(self, name: str, query: dict[str, Any]) -> None:
        """Saves a search; one that has the name is replaced.

        Raises:
            InputError: The name is empty, too long, or has control characters.
            StateError: The store can't be written to.
        """
        ...

    def remove(self, name: str) -> bool:
        """Removes a search, and returns whether there was one."""
        ...


def checked_name(name: str) -> str:
    """The name of a search, if it may have it.

    Raises:
        InputError: It is empty, is a dot or two, begins or ends with a space, is too long, or has control characters.
    """
    if not name or name in (".", "..") or name != name.strip() or len(name) > MAX_NAME:
        raise InputError(
            f"name {name[:MAX_NAME]!r}: give 1 to {MAX_NAME} characters, without a space at either end, "
            "and not only a dot or two"
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise InputError(f"name {name!r}: control characters are not allowed")
    return name


def query_json(query: dict[str, Any]) -> str:
    """The JSON text of a query in the store."""
    return _to_json(query)


def copy_searches(source: SavedSearches, target: SavedSearches) -> None:
    """Makes the saved searches of a store those of another one."""
    wanted, found = source.all(), target.all()
    for name in found.keys() - wanted.keys():
        target.remove(name)
    for name, query in wanted.items():
        if found.get(name) != query:
            target.put(name, query)


class SqliteSearches:
    """The saved searches of a SQLite store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Saved:
        """As `SavedSearches.all`."""
        rows = self._database.rows("SELECT name, query FROM saved_searches ORDER BY name")
        return {name: json.loads(query) for name, query in rows}

    def put(self, name: str, query: dict[str, Any]) -> None:
        """As `SavedSearches.put`."""
        with self._database.writing() as connection:
            values = (checked_name(name), query_json(query))
            connection.execute("INSERT OR REPLACE INTO saved_searches VALUES (?, ?)", values)

    def remove(self, name: str) -> bool:
        """As `SavedSearches.remove`."""
        with self._database.writing() as connection:
            return connection.execute("DELETE FROM saved_searches WHERE name = ?", (name,)).rowcount > 0
