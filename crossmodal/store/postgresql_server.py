"""The schema of a PostgreSQL store: its connections, its transactions, and the migration to the newest format."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql

from crossmodal.core.errors import NotWritableError, StateError
from crossmodal.store.postgresql_connection import (
    TIMEOUT_S,
    Connection,
    NoAnswerError,
    connect,
    name_of,
    use_schema,
)
from crossmodal.store.postgresql_errors import explained, unreachable

OLDEST = 15
"""The oldest supported major version of the server."""
MAX_CONNECTIONS = 4
"""Of each process."""

_TIMELINE = "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer"


@dataclass
class Transaction:
    """A write transaction. It takes numbers by raising `seq` and `key`, the newest that are in use."""

    connection: Connection
    seq: int
    key: int


class Server:
    """Connections to one schema, shared by threads. Must not be open across a fork."""

    def __init__(self, url: str, schema: str, *, writable: bool) -> None:
        """Connects; `writable` creates the schema if it does not exist, and migrates it.

        Raises:
            InputError: The URL is invalid.
            StateError: The server can't be reached, refuses the user or is too old; or the schema does not exist, or
                has another format.
            NotWritableError: `writable`, and the server is a standby, or the user may not create the schema.
        """
        self.name, self._schema, self._writable = name_of(url), schema, writable
        self._url = url
        self._idle: list[Connection] = []
        self._is_closed = False
        self._lock = threading.Lock()
        self._available = threading.BoundedSemaphore(MAX_CONNECTIONS)
        try:
            with self.connection() as connection:
                self._check(connection)
                if writable:
                    self._migrate(connection)
                self._check_format(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            self._is_closed = True
            for connection in self._idle:
                connection.close()
            self._idle = []

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in autocommit mode, which works at the time when it is given.

        Raises:
            StateError: The server can't be reached, or the connection was lost; the next call opens another.
            InputError: A value contains U+0000.
        """
        if not self._available.acquire(timeout=TIMEOUT_S):
            raise StateError(f"{self.name}: no connection was free for {TIMEOUT_S:.0f} s: send fewer requests at once")
        try:
            connection = self._idle_connection() or self._new_connection()
            try:
                yield connection
            except psycopg.Error as error:
                raise explained(self.name, error) or error from error
            finally:
                self._give_back(connection)
        finally:
            self._available.release()

    def rows(self, query: str, values: Sequence[object] = (), *, binary: bool = False) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.connection() as connection:
            return connection.execute(query, values, binary=binary).fetchall()

    def row(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...]:
        """The first row of a query that has at least one."""
        return self.rows(query, values)[0]

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction: everything read in the block is from the same state."""
        with self.connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A write transaction: durable when the block ends, rolled back if it raises.

        Those of all processes follow one another, so sequence numbers order as commits.
        """
        with self.writing_beside() as transaction:
            yield transaction
            transaction.connection.execute(
                "UPDATE sequence SET last = %s, last_key = %s, version = version + 1, timeline = now.timeline, "
                "epoch = epoch + (sequence.timeline NOT IN (0, now.timeline))::integer "
                f"FROM (SELECT {_TIMELINE} AS timeline) AS now",
                [transaction.seq, transaction.key],
            )

    @contextmanager
    def writing_beside(self) -> Iterator[Transaction]:
        """As `writing`, for rows beside those of documents: it takes no numbers, and leaves the version."""
        with self.connection() as connection, connection.transaction():
            row = connection.execute("SELECT is_closed, last, last_key FROM sequence FOR UPDATE").fetchone()
            assert row is not None
            is_closed, *numbers = row
            if is_closed:
                raise StateError(f"another state of this collection in {self.name} is the current one: start again")
            yield Transaction(connection, *numbers)

    @contextmanager
    def overwriting(self) -> Iterator[Connection]:
        """A write transaction of an exact copy, also in a store that is closed to other writers."""
        with self.connection() as connection, connection.transaction():
            connection.execute("UPDATE sequence SET version = version + 1")
            yield connection

    # -- connections

    def _idle_connection(self) -> Connection | None:
        """A connection that a restart of the server or a firewall has not closed; None if there is none."""
        while True:
            with self._lock:
                if self._is_closed:
                    raise RuntimeError(f"{self.name} is closed")
                if not self._idle:
                    return None
                connection = self._idle.pop()
            try:
                connection.check_alive()
            except NoAnswerError as error:  # neither would the others
                raise unreachable(self.name, error) from error
            except psycopg.OperationalError:
                connection.close()
            else:
                return connection

    def _new_connection(self) -> Connection:
        connection = connect(self._url, is_limited=not self._writable)
        try:
            self._configure(connection)
        except psycopg.Error as error:
            connection.close()
            raise explained(self.name, error) or error from error
        return connection

    def _give_back(self, connection: Connection) -> None:
        is_idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with self._lock:
            if is_idle and not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()

    # -- opening

    def _check(self, connection: Connection) -> None:
        version = connection.info.server_version // 10_000
        if version < OLDEST:
            raise StateError(f"{self.name} is PostgreSQL {version}: version {OLDEST} or newer is needed")
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise StateError(f"{self.name} has the encoding {encoding}: create the database with ENCODING 'UTF8'")
        if self._writable and connection.info.parameter_status("in_hot_standby") == "on":
            raise NotWritableError(f"{self.name} can't be written to: it is a standby. Use the address of the primary")

    def _configure(self, connection: Connection) -> None:
        use_schema(connection, self._schema)
        if not self._writable:
            connection.execute("SET default_transaction_read_only = on")

    def _migrate(self, connection: Connection) -> None:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [self._schema])
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)))
            connection.execute("CREATE TABLE IF NOT EXISTS format (number integer NOT NULL)")
            format_ = _format(connection)
            due = [(number, script) for number, script in _migrations() if number > format_]
            for number, script in due:
                connection.execute(script)
                connection.execute("DELETE FROM format")
                connection.execute("INSERT INTO format VALUES (%s)", [number])

    def _check_format(self, connection: Connection) -> None:
        is_there = connection.execute("SELECT to_regclass('format') IS NOT NULL").fetchone()
        if is_there != (True,):
            raise StateError(f"no index in {self.name}: run `python app.py -t index` first")
        format_, newest = _format(connection), _migrations()[-1][0]
        if format_ != newest:
            raise StateError(
                f"{self.name} has format {format_}, this program reads format {newest}: "
                + ("update the program" if format_ > newest else "run `python app.py -t verify` once to migrate it")
            )


def _format(connection: Connection) -> int:
    row = connection.execute("SELECT number FROM format").fetchone()
    return 0 if row is None else int(row[0])


def _migrations() -> list[tuple[int, str]]:
    """The numbered scripts in order; each migrates a schema from the previous number."""
    folder = resources.files("crossmodal.store") / "migrations_postgresql"
    scripts = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(int(script.name[:4]), script.read_text("utf8")) for script in scripts]


def copy_rows(connection: Connection, table: str, types: list[str], rows: Iterable[tuple[object, ...]]) -> None:
    """Inserts rows by COPY in its binary format.

    Args:
        connection: A connection in a transaction.
        table: The name of the table, with its columns in brackets if not all are given.
        types: The types of the values.
        rows: The values.
    """
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
