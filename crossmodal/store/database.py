"""A collection's SQLite file: opened, locked for its one writer, brought up to the newest format."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from crossmodal.core.errors import StateError

FILE_NAME = "documents.sqlite"
LOCK_NAME = "writer.lock"
PAGE_SIZE = 16_384
"""Bytes. A 512-d float32 vector takes half of a default page of 4,096 and leaves the other half empty; of these
pages an eighth is left."""
CACHE_KIB = 64 * 1024
CHECKPOINT_PAGES = 16_384
"""A writer's: content-addressed ids fall all over their index, whose every page a large transaction touches. SQLite's
own 2 MB and 1,000 pages read and write those pages again and again; a million documents come in twice as fast with
these, and the log beside the file grows to 256 MB before it is taken in (`benchmarks/ingest.py`)."""


class Database:
    """One connection, shared by threads; a process that writes holds the lock of the folder until it closes."""

    def __init__(self, folder: Path, *, writable: bool) -> None:
        """Opens the file; `writable` makes it where there is none.

        Raises:
            StateError: Nothing to read there, a file of another format or that is damaged, or, for writing,
                another process writes to it.
        """
        self.path = folder / FILE_NAME
        if not writable and not self.path.exists():
            raise StateError(f"no index in {folder}: run `python app.py -t index` first")
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = _lock(folder) if writable else -1
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=30.0)
        except sqlite3.OperationalError as error:
            self._unlock()
            raise StateError(f"{self.path} can't be opened ({error}): is it a file that you may read?") from error
        try:
            self._prepare(writable)
        except sqlite3.DatabaseError as error:
            self.close()
            raise _explained(self.path, error) or StateError(
                f"{self.path} is damaged or no store ({error}): move it away and index again"
            ) from error
        except StateError:
            self.close()
            raise

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
            self._connection.execute("PRAGMA query_only = ON")
        newest = _migrations()[-1][0]
        version = int(self.row("PRAGMA user_version")[0])
        if version == 0 and not writable:
            raise StateError(f"no index in {self.path.parent}: run `python app.py -t index` first")
        if version != newest:
            raise StateError(
                f"{self.path} has format {version}, this program reads format {newest}: "
                + ("update the program" if version > newest else "run `python app.py -t verify` once to bring it up")
            )

    def close(self) -> None:
        """Closes the file and lets another process write."""
        self._connection.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    # -- reading

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock, closing(self._connection.execute(query, tuple(values))) as cursor:
            return cursor.fetchall()

    def row(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...]:
        """The first row of a query that has one."""
        return self.rows(query, values)[0]

    def version(self) -> tuple[int, int]:
        """Changes with every commit: the first number with other connections', the second with our own."""
        return int(self.row("PRAGMA data_version")[0]), self._connection.total_changes

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read inside the block is of one moment."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    # -- writing

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: on the disk when the block is left, or, where it raises, not at all.

        Raises:
            StateError: The disk is full, or does not take what is written.
        """
        with self._lock:
            try:
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    yield self._connection
            except sqlite3.OperationalError as error:
                explained = _explained(self.path, error)
                if explained is None:
                    raise
                raise explained from error

    def give_back_space(self) -> None:
        """Writes the file anew without what was removed from it, and empties the log beside it.

        Raises:
            StateError: The disk is full; nothing is changed then.
        """
        with self._lock:
            try:
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.OperationalError as error:
                raise _explained(self.path, error) or error from error

    def _migrate(self) -> None:
        """Brings the file up in one transaction: a reader sees it as it was, or as it is to be."""
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        due = [(number, script) for number, script in _migrations() if number > version]
        if due:
            steps = "".join(f"{script}\nPRAGMA user_version = {number};\n" for number, script in due)
            self._connection.executescript(f"BEGIN IMMEDIATE;\n{steps}COMMIT;")


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Keeps every writer away from a folder without opening its store.

    Raises:
        StateError: Another process writes to it.
    """
    descriptor = _lock(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> int:
    """Takes the folder's lock; the kernel gives it back when the process ends, however it ends."""
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StateError(
            f"another process is writing to {folder}: wait until it is done, or stop it "
            "(`index`, `index_restful`, `query_restful --writable`, `reindex` and `compact` write); queries go on "
            "meanwhile"
        ) from error
    return descriptor


def _explained(path: Path, error: sqlite3.Error) -> StateError | None:
    """Trouble with the disk, in words; None where it is something else."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    kept = "what was acknowledged before is safe, and indexing again goes on from there"
    if primary == sqlite3.SQLITE_FULL:
        return StateError(f"the disk is full: {path} could not be written. Free some space; {kept}")
    if primary == sqlite3.SQLITE_IOERR:
        return StateError(f"the disk failed ({error}): {path} could not be written or read. See to it; {kept}")
    return None


def _migrations() -> list[tuple[int, str]]:
    """The numbered scripts, in order; each brings a store from the number before to its own."""
    folder = resources.files("crossmodal.store") / "migrations"
    scripts = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(int(script.name[:4]), script.read_text("utf8")) for script in scripts]
