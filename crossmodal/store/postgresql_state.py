"""The shared state of a collection in PostgreSQL: rows, and the copies of them in each node's folder."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.os_errors import reason
from crossmodal.store.protocol import Store
from crossmodal.store.shared_state import MANIFEST, SHARED, write_file

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
except ImportError as import_error:
    raise StateError(
        f"a store in PostgreSQL needs psycopg ({import_error}): pip install 'psycopg[binary]'"
    ) from import_error

from crossmodal.store.postgresql import PostgresqlStore
from crossmodal.store.postgresql_errors import explained
from crossmodal.store.postgresql_server import Server, connect, name_of, use_schema

log = logging.getLogger(__name__)

PREFIX = "crossmodal_"
MAX_NAME = 63 - len(PREFIX)
"""PostgreSQL cuts longer names of schemas off."""
EVERY_S = 1.0
_COPYING = threading.Lock()
"""Threads of a process would use the same temporary files; processes have their own."""


class PostgresqlState:
    """A collection in a database; its folder has the files of `SHARED` as copies, and the indexes."""

    def __init__(self, root: Path, url: str) -> None:
        """Takes the collection's folder, whose name is the collection's, and the database's URL.

        Raises:
            InputError: The collection's name is too long.
        """
        if len(root.name) > MAX_NAME:
            raise InputError(f"collection {root.name}: a name has at most {MAX_NAME} characters in PostgreSQL")
        self._root, self._url, self._schema = root, url, PREFIX + root.name
        self._seen: dict[str, int] = {}
        self._next_s = 0.0
        self._thread: threading.Thread | None = None

    def pull(self) -> None:
        """As `SharedState.pull`; removes copies of files that no longer exist."""
        try:
            with connect(self._url) as connection:
                use_schema(connection, self._schema)
                versions: dict[str, int] = {}
                if connection.execute("SELECT to_regclass('shared_files')").fetchone() != (None,):
                    query = "SELECT name, version FROM shared_files WHERE name = ANY(%s)"
                    versions = dict(connection.execute(query, [list(SHARED)]).fetchall())
                stale = [name for name, version in versions.items() if self._seen.get(name) != version]
                query = "SELECT name, version, content FROM shared_files WHERE name = ANY(%s)"
                rows = connection.execute(query, [stale], binary=True).fetchall() if stale else []
        except psycopg.Error as error:
            raise explained(name_of(self._url), error) or error from error
        with _COPYING:
            self._copy(versions, rows)

    def _copy(self, versions: dict[str, int], rows: list[tuple[str, int, bytes]]) -> None:
        try:
            for name in SHARED:
                if name not in versions:
                    (self._root / name).unlink(missing_ok=True)
            for name, version, content in rows:
                path = self._root / name
                if not path.exists() or path.read_bytes() != content:
                    self._root.mkdir(parents=True, exist_ok=True)
                    write_file(path, content)
                self._seen[name] = version
        except OSError as error:
            raise StateError(f"{self._root} can't be written to: {reason(error, self._root)}") from error

    def follow(self) -> None:
        """As `SharedState.follow`."""
        if time.monotonic() < self._next_s or (self._thread is not None and self._thread.is_alive()):
            return
        self._next_s = time.monotonic() + EVERY_S
        self._thread = threading.Thread(target=self._pull_or_log, daemon=True)
        self._thread.start()

    def _pull_or_log(self) -> None:
        try:
            self.pull()
        except StateError as error:
            log.warning("the copies in %s may be old: %s", self._root, error)

    def create(self, manifest: bytes) -> None:
        """As `SharedState.create`."""
        with PostgresqlStore(self._url, self._schema, writable=True):  # creates the schema
            self._execute("INSERT INTO shared_files VALUES (%s, %s) ON CONFLICT DO NOTHING", MANIFEST, manifest)

    def write(self, folder: Path, name: str, content: bytes) -> None:
        """As `SharedState.write`."""
        self._execute(
            "INSERT INTO shared_files VALUES (%s, %s) ON CONFLICT (name) "
            "DO UPDATE SET content = excluded.content, version = shared_files.version + 1",
            name,
            content,
        )

    def store(self, folder: Path, *, writable: bool) -> Store:
        """As `SharedState.store`."""
        return PostgresqlStore(self._url, self._schema, writable=writable)

    def check_generations(self) -> None:
        """As `SharedState.check_generations`: not implemented for PostgreSQL."""
        raise StateError(
            f"{self._root.name} is in PostgreSQL, where its model can't be changed: index into another collection"
        )

    def _execute(self, query: str, name: str, content: bytes) -> None:
        server = Server(self._url, self._schema, writable=True)
        try:
            with server.connection() as connection:
                connection.execute(query, [name, content])
        finally:
            server.close()
        self.pull()


def checked_url(url: str) -> str:
    """The URL, if it may be written to a file.

    Raises:
        InputError: It is invalid, or has a password.
    """
    name = name_of(url)
    if not url.startswith(("postgresql://", "postgres://")):
        raise InputError("the address of a store is postgresql://USER@HOST/DATABASE")
    if "password" in conninfo_to_dict(url):
        raise InputError(f"{name}: remove the password from the address, and set PGPASSWORD or add a line to ~/.pgpass")
    return url


def names(url: str) -> list[str]:
    """The names of the collections in a database, in alphabetical order."""
    with connect(url) as connection:
        rows = connection.execute(
            "SELECT table_schema FROM information_schema.tables "
            "WHERE table_name = 'shared_files' AND starts_with(table_schema, %s)",
            [PREFIX],
        ).fetchall()
    return sorted(row[0].removeprefix(PREFIX) for row in rows)
