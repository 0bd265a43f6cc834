"""A database that a collection is copied to."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from psycopg import sql

from crossmodal.collection.postgresql_state import PREFIX, PostgresqlState, checked_name
from crossmodal.collection.shared_state import SharedState
from crossmodal.core.errors import StateError
from crossmodal.store.postgresql_connection import TIMEOUT_S, Connection, connect, name_of
from crossmodal.store.postgresql_errors import explained

STAGED = "migrating__"
"""Prefix of the schemas of an incomplete copy, as long as `PREFIX`."""


class PostgresqlTarget:
    """Schemas of a database. Those of an incomplete copy have another prefix, and are renamed at the end."""

    def __init__(self, url: str, name: str) -> None:
        """Takes the URL of the database and the collection's name.

        Raises:
            InputError: The name is too long.
        """
        self._url, self._name = url, checked_name(name)
        self._lock: Connection | None = None

    def is_taken(self) -> bool:
        """As `Target.is_taken`."""
        with connect(self._url) as connection:
            return bool(_schemas(connection, PREFIX + self._name))

    @contextmanager
    def staged(self) -> Iterator[tuple[SharedState, Path]]:
        """As `Target.staged`; the lock is one of the connection."""
        with connect(self._url) as self._lock, TemporaryDirectory() as folder:
            try:
                self._lock.execute(f"SET lock_timeout = '{TIMEOUT_S:.0f}s'")
                self._lock.execute("SELECT pg_advisory_lock(hashtext(%s))", [f"migration to {PREFIX}{self._name}"])
            except psycopg.errors.LockNotAvailable as error:
                raise StateError(f"another process copies {self._name} to {name_of(self._url)}: wait for it") from error
            root = Path(folder) / self._name
            yield PostgresqlState(root, self._url, prefix=STAGED), root

    def publish(self, generations: Collection[str]) -> None:
        """As `Target.publish`, by renaming the schemas in one transaction of the connection that has the lock."""
        assert self._lock is not None
        staged = STAGED + self._name
        try:
            with self._lock.transaction():
                PostgresqlState(Path(self._name), self._url, prefix=STAGED).keep_only(self._lock, generations)
                for schema in _schemas(self._lock, staged):
                    named = PREFIX + schema.removeprefix(STAGED)
                    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
                    self._lock.execute(rename.format(sql.Identifier(schema), sql.Identifier(named)))
        except psycopg.errors.DuplicateSchema as error:
            where = name_of(self._url)
            raise StateError(f"{where} has got a collection {self._name} in the meantime: compare them") from error
        except psycopg.Error as error:
            raise explained(name_of(self._url), error) or error from error


def _schemas(connection: Connection, name: str) -> list[str]:
    """The schemas of a collection's generations; `name` is the first one's."""
    query = "SELECT nspname FROM pg_namespace WHERE nspname = %s OR starts_with(nspname, %s)"
    return [schema for (schema,) in connection.execute(query, [name, f"{name}/"])]
