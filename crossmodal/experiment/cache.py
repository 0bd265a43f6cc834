"""A cache in one SQLite file: features of pictures, thumbnails, rankings and maps, each under a space and an item.

Losing it costs time only. Writes are transactions, each entry has a checksum, and the least recently used spaces are
removed when the cache is larger than its limit, except those of the current run.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
import zlib
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from crossmodal.core.batched import batched
from crossmodal.core.errors import StateError
from crossmodal.core.os_errors import reason

log = logging.getLogger(__name__)

NAME = "experiments.sqlite3"
LIMIT_BYTES = 8 << 30
VERSION = 1
_AT_ONCE = 500
"""Entries per query; SQLite limits the number of parameters."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    space TEXT NOT NULL, item TEXT NOT NULL, checksum INTEGER NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (space, item)
);
CREATE TABLE IF NOT EXISTS spaces (space TEXT PRIMARY KEY, bytes INTEGER NOT NULL, used REAL NOT NULL);
"""


def space_of(*parts: Any) -> str:
    """The name of a space: a hash of JSON-ready values, and of the version of the cache."""
    return sha256(json.dumps([VERSION, *parts], sort_keys=True).encode()).hexdigest()


class Cache:
    """The entries of a cache file; a damaged file is made anew, and a damaged entry counts as missing."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES, *, is_read_only: bool = False) -> None:
        """Opens the cache in a folder.

        Args:
            folder: The folder, created if missing.
            limit_bytes: Size of all contents from which spaces are removed that this object has not used.
            is_read_only: Whether only `get` is called, so that nothing is created or written.

        Raises:
            StateError: The file can't be opened or created.
        """
        self.path, self._limit, self._is_read_only = folder / NAME, limit_bytes, is_read_only
        self._in_use: set[str] = set()
        try:
            if not is_read_only:
                folder.mkdir(parents=True, exist_ok=True)
            self._database = self._opened()
        except OSError as error:
            raise StateError(f"the cache {self.path} can't be opened: {reason(error)}") from error
        except sqlite3.OperationalError as error:
            raise StateError(f"the cache {self.path} can't be opened: {error}") from error
        except sqlite3.DatabaseError:
            self._start_anew()

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._database.close()

    def get(self, space: str, items: Iterable[str]) -> dict[str, bytes]:
        """The contents of the items that the cache has."""
        found: dict[str, bytes] = {}
        self._in_use.add(space)
        try:
            for part in batched(items, _AT_ONCE):
                found.update(self._rows(space, part))
            if not self._is_read_only:
                with self._database:
                    self._database.execute("UPDATE spaces SET used = ? WHERE space = ?", (time.time(), space))
        except sqlite3.DatabaseError as error:
            self._recover(error)
            return {}
        return found

    def present(self, space: str, items: Iterable[str]) -> set[str]:
        """The items that the cache has undamaged."""
        return set(self.get(space, items))

    def put(self, entries: Mapping[str, Mapping[str, bytes]]) -> None:
        """Stores contents by space and item, in one transaction.

        Raises:
            StateError: The disk is full, or the file can't be written.
        """
        try:
            self._write(entries)
        except sqlite3.DatabaseError as error:
            self._recover(error)
            self._write(entries)

    def get_json(self, space: str, item: str) -> Any:
        """A stored JSON value; None if the cache does not have it."""
        content = self.get(space, [item]).get(item)
        return None if content is None else json.loads(content)

    def put_json(self, space: str, item: str, value: Any) -> None:
        """Stores a JSON value."""
        self.put({space: {item: json.dumps(value).encode()}})

    def _opened(self) -> sqlite3.Connection:
        if self._is_read_only:
            return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=60)
        database = sqlite3.connect(self.path, timeout=60)
        try:
            database.executescript(_SCHEMA)
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def _recover(self, error: sqlite3.DatabaseError) -> None:
        """Starts an empty file if the file is damaged.

        Raises:
            StateError: The error has another cause, such as a full disk.
        """
        if self._is_read_only or isinstance(error, sqlite3.OperationalError):
            raise StateError(f"the cache {self.path} can't be used: {error}") from error
        self._database.close()
        self._start_anew()

    def _start_anew(self) -> None:
        log.warning("%s is damaged: features are computed anew", self.path)
        self.path.unlink(missing_ok=True)
        self.path.with_name(f"{NAME}-journal").unlink(missing_ok=True)
        self._database = self._opened()

    def _rows(self, space: str, items: list[str]) -> dict[str, bytes]:
        marks = ",".join("?" * len(items))
        rows = self._database.execute(
            f"SELECT item, checksum, content FROM entries WHERE space = ? AND item IN ({marks})", [space, *items]
        )
        return {item: content for item, checksum, content in rows if zlib.crc32(content) == checksum}

    def _write(self, entries: Mapping[str, Mapping[str, bytes]]) -> None:
        now = time.time()
        self._in_use.update(entries)
        with self._database:
            for space, contents in entries.items():
                rows = [(space, item, zlib.crc32(content), content) for item, content in contents.items()]
                self._database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", rows)
                n_bytes = sum(len(content) for content in contents.values())
                self._database.execute(
                    "INSERT INTO spaces VALUES (?, ?, ?) "
                    "ON CONFLICT (space) DO UPDATE SET bytes = bytes + excluded.bytes, used = excluded.used",
                    (space, n_bytes, now),
                )
            self._shrink()

    def _shrink(self) -> None:
        """Removes the least recently used spaces that are not in use while the cache is larger than its limit."""
        sizes = list(self._database.execute("SELECT space, bytes FROM spaces ORDER BY used"))
        excess = sum(size for _, size in sizes) - self._limit
        for space, size in sizes:
            if excess <= 0:
                return
            if space not in self._in_use:
                self._database.execute("DELETE FROM entries WHERE space = ?", (space,))
                self._database.execute("DELETE FROM spaces WHERE space = ?", (space,))
                excess -= size
