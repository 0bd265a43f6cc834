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

from crossmodal.core.errors import NotWritableError, StateError
from crossmodal.core.os_errors import reason, why_not_readable, why_not_writable

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
    """One connection, shared by threads; a process that writes holds the lock of the folder until it closes.

    To read, SQLite makes files beside the database. Where a reader may make none, on a read-only file system or in the
    folder of another user, it reads the file as one that nobody writes, and looks before and after each read whether
    somebody did; from then on it shares the files that the writer made.
    """

    def __init__(self, folder: Path, *, writable: bool) -> None:
        """Opens the file; `writable` makes it where there is none.

        Raises:
            NotWritableError: For writing: this user may not, or nobody may.
            StateError: Nothing to read there, nothing that this user may read, a file of another format or that is
                damaged, or, for writing, another process writes to it.
        """
        self.path = folder / FILE_NAME
        self._writer = -1
        self._lock = threading.RLock()
        self._unwritten: Signature | None = None
        self._n_opened = 0
        self._is_in_block = False
        if writable:
            self._writer = _writers_lock(folder)
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
            if writable or _code(error) not in _REFUSED:
                raise _explained(self.path, error) or error from error
            self._open_unwritten(error)

    def _open_unwritten(self, refused: sqlite3.Error) -> None:
        """Opens the file as one that nobody writes, where nobody does."""
        self._unwritten = _signature(self.path)
        if self._unwritten[-1]:
            raise StateError(
                f"{self.path} can't be read where nothing may be written: the last changes are in {self.path}-wal and "
                "were never taken in, since the process that wrote them was stopped. Run `python app.py -t verify` "
                f"once on a copy that you may write to, or as a user who may ({_explained(self.path, refused)})"
            ) from refused
        try:
            self._connect(f"{self.path.absolute().as_uri()}?mode=ro&immutable=1")
            self._prepare(False)
        except sqlite3.DatabaseError as error:
            raise _explained(self.path, error) or error from error

    def _connect(self, name: str) -> None:
        self._disconnect()
        self._connection = sqlite3.connect(
            name, check_same_thread=False, isolation_level=None, timeout=30.0, uri=name.startswith("file:")
        )
        self._n_opened += 1

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
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0 and not writable:
            raise StateError(f"no index in {self.path.parent}: run `python app.py -t index` first")
        if version != newest:
            raise StateError(
                f"{self.path} has format {version}, this program reads format {newest}: "
                + ("update the program" if version > newest else "run `python app.py -t verify` once to bring it up")
            )

    def close(self) -> None:
        """Closes the file and lets another process write."""
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
                self._open_again_if_written()
                try:
                    with closing(self._connection.execute(query, tuple(values))) as cursor:
                        found = cursor.fetchall()
                except sqlite3.DatabaseError as error:
                    if self._is_in_block or not self._was_written():
                        raise _explained(self.path, error) or error from error
                else:
                    if self._is_in_block or not self._was_written():
                        return found

    def _was_written(self) -> bool:
        """Whether somebody has written to a file that was opened as one that nobody writes."""
        return self._unwritten is not None and _signature(self.path) != self._unwritten

    def _open_again_if_written(self) -> None:
        if not self._is_in_block and self._was_written():
            self._unwritten = None
            self._open(writable=False)

    def row(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...]:
        """The first row of a query that has one."""
        return self.rows(query, values)[0]

    def version(self) -> tuple[int, int]:
        """Changes with every commit: the first number with other connections', the second with our own."""
        of_others = int(self.row("PRAGMA data_version")[0])
        return (self._n_opened << 32) + of_others, self._connection.total_changes

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read inside the block is of one moment.

        Raises:
            StateError: The file was written meanwhile, where that can't be kept apart.
        """
        with self._lock:
            self._open_again_if_written()
            self._connection.execute("BEGIN")
            self._is_in_block = True
            try:
                yield
            finally:
                self._is_in_block = False
                self._connection.execute("COMMIT")
            if self._was_written():
                raise StateError(f"{self.path} was written to while it was read: do it again")

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
            except sqlite3.DatabaseError as error:
                raise _explained(self.path, error) or error from error

    def give_back_space(self) -> None:
        """Writes the file anew without what was removed from it, and empties the log beside it.

        Raises:
            StateError: The disk is full; nothing is changed then.
        """
        with self._lock:
            try:
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.DatabaseError as error:
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
        NotWritableError: This user may not write to it, or nobody may.
        StateError: Another process writes to it.
    """
    descriptor = _writers_lock(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def check_writable(folder: Path) -> None:
    """Returns where a collection can be written to.

    Raises:
        NotWritableError: This user may not, or nobody may; the message says who.
    """
    for path in (folder, folder / FILE_NAME, folder / LOCK_NAME):
        if why := why_not_writable(path, makes_folders=True):
            raise NotWritableError(
                f"{folder} can't be written to: {why}. What only reads works: queries, verify, export"
            )


def _writers_lock(folder: Path) -> int:
    """Takes the folder's lock; the kernel gives it back when the process ends, however it ends."""
    check_writable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StateError(f"{folder} can't be written to: {reason(error, folder)}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StateError(
            f"another process is writing to {folder}: wait until it is done, or stop it "
            "(`index`, `index_restful`, `query_restful --writable`, `reindex` and `compact` write); queries go on "
            "meanwhile"
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise StateError(f"{folder / LOCK_NAME} can't be locked: {reason(error)}") from error
    return descriptor


Signature = tuple[int, int, int, bool]


def _signature(path: Path) -> Signature:
    """Changes when the file is written; the last is whether changes lie beside it that are not in it."""
    try:
        found = path.stat()
    except OSError as error:
        raise StateError(f"{path} can't be read: {reason(error, path)}") from error
    try:
        beside = Path(f"{path}-wal").stat().st_size
    except FileNotFoundError:
        beside = 0
    return found.st_ino, found.st_mtime_ns, found.st_size, beside > 0


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise StateError(f"{path} can't be read: {reason(error, path)}") from error


_REFUSED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_KEPT = "what was acknowledged before is safe, and indexing again goes on from there"


def _code(error: sqlite3.Error) -> int:
    """The primary result code of SQLite; 0 where the error is not of SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _explained(path: Path, error: sqlite3.Error) -> StateError | None:
    """Trouble with the file or the disk, in words; None where it is something else."""
    code, name = _code(error), getattr(error, "sqlite_errorname", "")
    if code in _DAMAGED:
        return StateError(f"{path} is damaged or no store ({error}): move it away and index again, or import an export")
    if code == sqlite3.SQLITE_FULL:
        return StateError(f"the disk is full: {path} could not be written. Free some space; {_KEPT}")
    if code == sqlite3.SQLITE_IOERR:
        return StateError(
            f"the disk failed, or its quota is used up ({error}, {name}): {path} could not be written or read. "
            f"See to it; {_KEPT}"
        )
    if code in _IN_USE:
        return StateError(f"{path} is in use by another process ({error}): wait until it is done, or stop it")
    if code == sqlite3.SQLITE_NOMEM:
        return StateError(f"memory has run out while reading {path}: close some programs")
    if code not in _REFUSED:
        return None
    if why := _limit_reached() or why_not_readable(path):
        return StateError(f"{path} can't be opened: {why}")
    if why := why_not_writable(path) or why_not_writable(path.parent):
        return NotWritableError(f"{path} can't be written to: {why}")
    return StateError(f"{path} can't be opened ({error})") if code == sqlite3.SQLITE_CANTOPEN else None


def _limit_reached() -> str | None:
    """Why no file at all can be opened."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return reason(error)
    return None


def _migrations() -> list[tuple[int, str]]:
    """The numbered scripts, in order; each brings a store from the number before to its own."""
    folder = resources.files("crossmodal.store") / "migrations"
    scripts = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(int(script.name[:4]), script.read_text("utf8")) for script in scripts]
