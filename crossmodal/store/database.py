"""A collection's SQLite file: its connection, its transactions, and the migration to the newest format."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from crossmodal.core.batched import batched
from crossmodal.core.errors import StateError
from crossmodal.core.os_errors import reason
from crossmodal.store.distance import haversine
from crossmodal.store.locks import FILE_NAME, take_writer_lock
from crossmodal.store.sqlite_errors import REFUSED, code_of, explained

PAGE_SIZE = 16_384
"""Bytes. A 512-d float32 vector wastes half of a default page of 4,096 bytes, and an eighth of this size."""
CACHE_KIB = 64 * 1024
CHECKPOINT_PAGES = 16_384
"""Cache and log of a writer. Content-addressed ids are spread over their whole index, so a large transaction touches
all its pages. With SQLite's defaults (2 MB, 1,000 pages) these are read and written repeatedly; with these values a
million documents are written twice as fast, and the log grows to 256 MB before a checkpoint (`benchmarks/ingest.py`).
"""

CHUNK = 500
"""Values in one `IN (...)`."""

OLDEST_READ = 2
"""The oldest format that a reader opens: nobody may be able to write the file. Later migrations only add tables."""


class Database:
    """One connection, shared by threads; a writing process holds the lock of the folder until it closes.

    SQLite creates files beside the database to read it. If a reader can't create files (a read-only file system, the
    folder of another user), it opens the database as immutable and checks before and after each read whether it was
    written to; if so, it uses the files that the writer has created.
    """

    def __init__(self, folder: Path, *, writable: bool) -> None:
        """Opens the file; `writable` creates it if it does not exist.

        Raises:
            NotWritableError: `writable`, and the file is read-only, or read-only for this user.
            StateError: The file does not exist, can't be read, has another format or is damaged; or `writable`, and
                another process is writing to it.
        """
        self.path = folder / FILE_NAME
        self._writer = -1
        self._lock = threading.RLock()
        self._immutable: Signature | None = None
        self._n_opened = 0
        self._is_in_block = False
        if writable:
            self._writer = take_writer_lock(folder)
        elif not _is_there(self.path):
            raise StateError(f"no index in {folder}: run `python app.py -t index` first")
        try:
            self._open(writable)
        except BaseException:
            self.close()
            raise

    def _open(self, writable: bool) -> None:
        try:
            self._connect(str(self.path))
            self._prepare(writable)
        except sqlite3.DatabaseError as error:
            if writable or code_of(error) not in REFUSED:
                raise explained(self.path, error) or error from error
            self._open_immutable(error)

    def _open_immutable(self, refused: sqlite3.Error) -> None:
        """Opens the file as immutable, unless it has an unmerged log."""
        self._immutable = _signature(self.path)
        if self._immutable[-1]:
            raise StateError(
                f"{self.path} can't be read from a read-only place: the process that wrote the last changes was "
                f"stopped before it merged them from {self.path}-wal. Run `python app.py -t verify` "
                f"once on a writable copy, or as a user who may write ({explained(self.path, refused)})"
            ) from refused
        try:
            self._connect(f"{self.path.absolute().as_uri()}?mode=ro&immutable=1")
            self._prepare(False)
        except sqlite3.DatabaseError as error:
            raise explained(self.path, error) or error from error

    def _connect(self, name: str) -> None:
        self._disconnect()
        self._connection = sqlite3.connect(
            name, check_same_thread=False, isolation_level=None, timeout=30.0, uri=name.startswith("file:")
        )
        self._n_opened += 1
        self._connection.create_function("haversine", 4, haversine, deterministic=True)

    def _prepare(self, writable: bool) -> None:
        self._connection.execute("PRAGMA foreign_keys = ON")
        if writable:
            self._connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            self._migrate()
        else:
            self._add_missing_tables()
            self._connection.execute("PRAGMA query_only = ON")
        newest = _migrations()[-1][0]
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0 and not writable:
            raise StateError(f"no index in {self.path.parent}: run `python app.py -t index` first")
        if not OLDEST_READ <= version <= newest:
            raise StateError(
                f"{self.path} has format {version}, this program reads format {newest}: "
                + ("update the program" if version > newest else "run `python app.py -t verify` once to migrate it")
            )

    def _add_missing_tables(self) -> None:
        """Makes the tables that a file of an older format lacks: empty, and until this connection is closed."""
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        for number, script in _migrations():
            if OLDEST_READ <= version < number:
                self._connection.executescript(script.replace("CREATE TABLE", "CREATE TEMP TABLE"))

    def close(self) -> None:
        """Closes the file and releases the lock."""
        self._disconnect()
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def _disconnect(self) -> None:
        if self._n_opened:
            self._connection.close()

    # -- reading

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query.

        Raises:
            StateError: The file is damaged, or can't be read.
        """
        with self._lock:
            while True:
                self._reopen_if_written()
                try:
                    with closing(self._connection.execute(query, tuple(values))) as cursor:
                        rows = cursor.fetchall()
                except sqlite3.DatabaseError as error:
                    if self._is_in_block or not self._was_written():
                        raise explained(self.path, error) or error from error
                else:
                    if self._is_in_block or not self._was_written():
                        return rows

    def rows_in(self, query: str, values: Iterable[object]) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that has `IN (?)`, which stands for any number of values; read and ordered by `CHUNK`.

        Raises:
            StateError: The file is damaged, or can't be read.
        """
        for chunk in batched(values, CHUNK):
            yield from self.rows(query.replace("IN (?)", f"IN ({','.join('?' * len(chunk))})"), chunk)

    def _was_written(self) -> bool:
        """Whether the file was opened as immutable and has been written to since."""
        return self._immutable is not None and _signature(self.path) != self._immutable

    def _reopen_if_written(self) -> None:
        if not self._is_in_block and self._was_written():
            self._immutable = None
            self._open(writable=False)

    def row(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...]:
        """The first row of a query that has at least one."""
        return self.rows(query, values)[0]

    def version(self) -> tuple[int, int]:
        """Two numbers that change with every commit: the first of other connections, the second of this one."""
        external = int(self.row("PRAGMA data_version")[0])
        return (self._n_opened << 32) + external, self._connection.total_changes

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A read transaction: everything read in the block is from the same state.

        Raises:
            StateError: The file is open as immutable and was written to in the meantime.
        """
        with self._lock:
            self._reopen_if_written()
            self._connection.execute("BEGIN")
            self._is_in_block = True
            try:
                yield
            finally:
                self._is_in_block = False
                self._connection.execute("COMMIT")
            if self._was_written():
                raise StateError(f"{self.path} was written to while it was read: try again")

    # -- writing

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: durable when the block ends, rolled back if it raises.

        Raises:
            StateError: The disk is full or fails.
        """
        with self._lock:
            try:
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    yield self._connection
            except sqlite3.DatabaseError as error:
                raise explained(self.path, error) or error from error

    def give_back_space(self) -> None:
        """Rewrites the file without removed rows, and empties the log.

        Raises:
            StateError: The disk is full; nothing was changed.
        """
        with self._lock:
            try:
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.DatabaseError as error:
                raise explained(self.path, error) or error from error

    def _migrate(self) -> None:
        """Migrates the file to the newest format in one transaction."""
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        due = [(number, script) for number, script in _migrations() if number > version]
        if due:
            steps = "".join(f"{script}\nPRAGMA user_version = {number};\n" for number, script in due)
            self._connection.executescript(f"BEGIN IMMEDIATE;\n{steps}COMMIT;")


Signature = tuple[int, int, int, bool]


def _signature(path: Path) -> Signature:
    """Inode, time and size, which change when the file is written, and whether it has an unmerged log."""
    try:
        status = path.stat()
    except OSError as error:
        raise StateError(f"{path} can't be read: {reason(error, path)}") from error
    try:
        log_size = Path(f"{path}-wal").stat().st_size
    except FileNotFoundError:
        log_size = 0
    return status.st_ino, status.st_mtime_ns, status.st_size, log_size > 0


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise StateError(f"{path} can't be read: {reason(error, path)}") from error


def _migrations() -> list[tuple[int, str]]:
    """The numbered scripts in order; each migrates a store from the previous number."""
    folder = resources.files("crossmodal.store") / "migrations"
    scripts = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(int(script.name[:4]), script.read_text("utf8")) for script in scripts]
