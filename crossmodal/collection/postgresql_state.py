"""The shared state of a collection in PostgreSQL: rows, and the copies of them in each node's folder."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from crossmodal.collection.generations import CURRENT, generations, is_generation, remove_generations
from crossmodal.collection.shared_state import MANIFEST, SHARED, write_file
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.os_errors import reason
from crossmodal.core.rare_log import warn_rarely
from crossmodal.store.protocol import Store

try:
    import psycopg
    from psycopg import sql
    from psycopg.conninfo import conninfo_to_dict
except ImportError as import_error:
    raise StateError(
        f"a store in PostgreSQL needs psycopg ({import_error}): pip install 'psycopg[binary]'"
    ) from import_error

from crossmodal.store.postgresql import PostgresqlStore
from crossmodal.store.postgresql_connection import Connection, connect, name_of, use_schema
from crossmodal.store.postgresql_errors import explained

log = logging.getLogger(__name__)

PREFIX = "crossmodal_"
MAX_NAME = 63 - len(PREFIX) - len("/999")
"""PostgreSQL cuts longer names of schemas off."""
EVERY_S = 1.0
COPIED_FROM = "copied-from"
"""A row of a generation that is being made: the version of the store that it is made from."""
_COPYING = threading.Lock()
"""Threads of a process would use the same temporary files; processes have their own."""
_PUT = (
    "INSERT INTO shared_files VALUES (%s, %s) ON CONFLICT (name) "
    "DO UPDATE SET content = excluded.content, version = shared_files.version + 1"
)


class PostgresqlState:
    """A collection in a database. The schema `crossmodal_NAME` has the first generation, and which is the current one.

    A later generation N has the schema `crossmodal_NAME/N`. Each has the files `SHARED` of its generation as rows.
    """

    def __init__(self, root: Path, url: str, prefix: str = PREFIX) -> None:
        """Takes the collection's folder, whose name is the collection's, and the database's URL.

        Raises:
            InputError: The collection's name is too long.
        """
        self._root, self._url, self._schema = root, url, prefix + checked_name(root.name)
        self._seen: dict[Path, int] = {}
        self._next_s = 0.0
        self._thread: threading.Thread | None = None

    def pull(self) -> None:
        """As `SharedState.pull`; removes copies of what no longer exists."""
        with self._connected(is_limited=True) as connection:
            self._pull(connection)

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
            warn_rarely(log, f"the copies in {self._root} may be old: {error}")

    def create(self, folder: Path, manifest: bytes) -> None:
        """As `SharedState.create`."""
        self.store(folder, writable=True).close()  # creates the schema
        with self._connected() as connection:
            self._use_schema_of(connection, folder)
            connection.execute("INSERT INTO shared_files VALUES (%s, %s) ON CONFLICT DO NOTHING", [MANIFEST, manifest])
            self._copy(connection, folder, SHARED)

    def write(self, folder: Path, name: str, content: bytes) -> None:
        """As `SharedState.write`."""
        with self._connected() as connection:
            self._use_schema_of(connection, folder)
            connection.execute(_PUT, [name, content])
            self._copy(connection, folder, SHARED)

    def store(self, folder: Path, *, writable: bool) -> Store:
        """As `SharedState.store`."""
        return PostgresqlStore(self._url, self._schema_of(folder), writable=writable)

    def add_generation(self, current: Path) -> Path:
        """As `SharedState.add_generation`."""
        with self._connected() as connection, connection.transaction():
            self._use_schema_of(connection, current)
            [(version, is_closed)] = connection.execute("SELECT version, is_closed FROM sequence FOR UPDATE")
            if is_closed:
                raise self._is_overtaken()
            self._use_schema_of(connection, self._root)
            numbers = self._numbers(connection)
            self._drop(connection, {current.name, *self._current_names(connection).values()})
            made = self._root / f"generation-{max([1, *numbers]) + 1}"
        self.store(made, writable=True).close()
        with self._connected() as connection:
            self._use_schema_of(connection, made)
            connection.execute(_PUT, [COPIED_FROM, str(version).encode()])
        return made

    def make_current(self, current: Path, previous: Path) -> None:
        """As `SharedState.make_current`, in one transaction; closes the store of `previous` to writers."""
        with self._connected() as connection:
            with connection.transaction():
                self._use_schema_of(connection, previous)
                query = "SELECT version FROM sequence WHERE NOT is_closed FOR UPDATE"
                if (row := connection.execute(query).fetchone()) is None:
                    raise self._is_overtaken()
                connection.execute("UPDATE sequence SET is_closed = true, version = version + 1")
                self._use_schema_of(connection, current)
                rows = connection.execute("DELETE FROM shared_files WHERE name = %s RETURNING content", [COPIED_FROM])
                if any(int(content) != row[0] for (content,) in rows):
                    raise StateError(
                        f"the documents of {self._root.name} were changed while they were encoded again: "
                        "run the command again when no other process writes to the collection"
                    )
                connection.execute("UPDATE sequence SET is_closed = false, version = version + 1")
                names = {
                    key: "" if folder == self._root else folder.name
                    for key, folder in (("current", current), ("previous", previous))
                }
                self._use_schema_of(connection, self._root)
                connection.execute(_PUT, [CURRENT, json.dumps(names, indent=1).encode()])
                self.keep_only(connection, names.values())
            self._pull(connection)
        remove_generations(self._root, {current.name, previous.name})

    def keep_only(self, connection: Connection, names: Collection[str]) -> None:
        """Removes all generations but those with these names, in the transaction of a connection."""
        if "" not in names:
            self._use_schema_of(connection, self._root)
            connection.execute("TRUNCATE documents, removals CASCADE")
            connection.execute("DELETE FROM shared_files WHERE name <> %s", [CURRENT])
        self._drop(connection, set(names))

    def _is_overtaken(self) -> StateError:
        return StateError(f"another node has made another state of {self._root.name} the current one: start again")

    # -- the schemas

    @contextmanager
    def _connected(self, *, is_limited: bool = False) -> Iterator[Connection]:
        with connect(self._url, is_limited=is_limited) as connection:
            try:
                yield connection
            except psycopg.Error as error:
                raise explained(name_of(self._url), error) or error from error

    def _schema_of(self, folder: Path) -> str:
        return self._schema if folder == self._root else f"{self._schema}/{folder.name.removeprefix('generation-')}"

    def _use_schema_of(self, connection: Connection, folder: Path) -> None:
        use_schema(connection, self._schema_of(folder))

    def _numbers(self, connection: Connection) -> list[int]:
        """The numbers of the later generations that have a schema."""
        schemas = connection.execute("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", [self._schema])
        matches = (re.fullmatch(re.escape(self._schema) + r"/(\d+)", name) for (name,) in schemas)
        return [int(match[1]) for match in matches if match]

    def _drop(self, connection: Connection, kept: set[str]) -> None:
        """Drops the schemas of later generations whose names are not in `kept`."""
        for number in self._numbers(connection):
            if f"generation-{number}" not in kept:
                schema = sql.Identifier(f"{self._schema}/{number}")
                connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))

    # -- the copies

    def _pull(self, connection: Connection) -> None:
        self._use_schema_of(connection, self._root)
        names = self._current_names(connection)
        kept = {name for name in names.values() if name}
        for name in kept:
            self._copy(connection, self._root / name, SHARED)
        # Last, so that a generation is complete when it becomes the current one.
        self._copy(connection, self._root, (*SHARED, CURRENT))
        if kept and self._root.exists():
            newest = max(map(_number, kept))  # a later one may be being made here
            later = {path.name for path in generations(self._root) if _number(path.name) > newest}
            remove_generations(self._root, kept | later)

    def _current_names(self, connection: Connection) -> dict[str, str]:
        if connection.execute("SELECT to_regclass('shared_files')").fetchone() == (None,):
            return {}
        row = connection.execute("SELECT content FROM shared_files WHERE name = %s", [CURRENT]).fetchone()
        names: dict[str, str] = {} if row is None else json.loads(row[0])
        if not all(name == "" or is_generation(name) for name in names.values()):
            raise StateError(f"{self._root.name} is damaged in the database: {CURRENT} names {names}")
        return names

    def _copy(self, connection: Connection, folder: Path, names: tuple[str, ...]) -> None:
        """Brings the copies of a generation's files up to date, and removes those of files that no longer exist."""
        self._use_schema_of(connection, folder)
        versions: dict[str, int] = {}
        if connection.execute("SELECT to_regclass('shared_files')").fetchone() != (None,):
            query = "SELECT name, version FROM shared_files WHERE name = ANY(%s)"
            versions = dict(connection.execute(query, [list(names)]).fetchall())
        stale = [name for name, version in versions.items() if self._seen.get(folder / name) != version]
        query = "SELECT name, version, content FROM shared_files WHERE name = ANY(%s)"
        rows = connection.execute(query, [stale], binary=True).fetchall() if stale else []
        try:
            with _COPYING:
                for name in names:
                    if name not in versions:
                        (folder / name).unlink(missing_ok=True)
                for name, version, content in rows:
                    path = folder / name
                    if not path.exists() or path.read_bytes() != content:
                        folder.mkdir(parents=True, exist_ok=True)
                        write_file(path, content)
                    self._seen[path] = version
        except OSError as error:
            raise StateError(f"{folder} can't be written to: {reason(error, folder)}") from error


def _number(name: str) -> int:
    return int(name.removeprefix("generation-"))


def checked_name(name: str) -> str:
    """The name of a collection, if its schemas can have it.

    Raises:
        InputError: It is too long.
    """
    if len(name) > MAX_NAME:
        raise InputError(f"collection {name}: a name has at most {MAX_NAME} characters in PostgreSQL")
    return name


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
    with connect(url, is_limited=True) as connection:
        rows = connection.execute(
            "SELECT table_schema FROM information_schema.tables WHERE table_name = 'shared_files' "
            "AND starts_with(table_schema, %s) AND strpos(table_schema, '/') = 0",
            [PREFIX],
        ).fetchall()
    return sorted(row[0].removeprefix(PREFIX) for row in rows)
