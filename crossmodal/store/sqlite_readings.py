"""The text in the pictures of a SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import numpy as np

from crossmodal.core.reading import Reading
from crossmodal.core.types import Keys
from crossmodal.store.database import Database
from crossmodal.store.readings import EXIST, ReadingChanges, StoredReading
from crossmodal.store.sqlite_rows import last_seq

_ROWS = "SELECT r.key, r.seq, d.id, r.content, r.tag FROM readings r JOIN documents d USING (key)"


class SqliteReadings:
    """As `crossmodal.store.readings.Readings`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, readings: Iterable[tuple[str, Reading]]) -> int:
        """As `Readings.put`."""
        with self._database.writing() as connection:
            return put_readings(connection, readings)

    def exist(self) -> tuple[bool, bool]:
        """As `Readings.exist`."""
        are_read, have_text = self._database.row(EXIST)
        return bool(are_read), bool(have_text)

    def unread(self) -> Keys:
        """As `Readings.unread`."""
        rows = self._database.rows(
            "SELECT key FROM documents WHERE modality = 'image' AND key NOT IN (SELECT key FROM readings) ORDER BY key"
        )
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def of(self, image_ids: Iterable[str]) -> dict[str, Reading]:
        """As `Readings.of`."""
        query = "SELECT id, content FROM readings JOIN documents USING (key) WHERE id IN (?)"
        return {name: Reading.from_json(content) for name, content in self._database.rows_in(query, image_ids)}

    def changes_after(
        self, seq: int, limit: int = 10_000, *, forgotten: int = 0, epoch: int = 0
    ) -> ReadingChanges | None:
        """As `Readings.changes_after`; the epoch is always 0."""
        with self._database.reading():
            last, forgotten_now = self._database.row("SELECT last, removals_from FROM sequence")
            if 0 < seq < forgotten_now != forgotten:
                return None
            rows = self._database.rows(f"{_ROWS} WHERE r.seq > ? ORDER BY r.seq LIMIT ?", [seq, limit])
            is_all = len(rows) < limit
            until = int(last) if is_all else int(rows[-1][1])
            gone = self._database.rows(
                "SELECT key FROM removals WHERE modality = 'image' AND seq > ? AND seq <= ?", [seq, until]
            )
        removed = np.fromiter((row[0] for row in gone), np.int64, len(gone))
        return ReadingChanges([StoredReading(*row) for row in rows], removed, until, is_all, int(forgotten_now))

    def rows(self, after: int, until: int) -> list[StoredReading]:
        """As `Readings.rows`."""
        rows = self._database.rows(f"{_ROWS} WHERE r.key > ? AND r.key <= ? ORDER BY r.key", [after, until])
        return [StoredReading(*row) for row in rows]

    def replace(self, stale: Iterable[int], added: Iterable[StoredReading]) -> None:
        """As `Readings.replace`."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM readings WHERE key = ?", ((key,) for key in stale))
            connection.executemany(
                "INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)",
                ((row.key, row.seq, row.content, row.tag) for row in added),
            )


def put_readings(
    connection: sqlite3.Connection, readings: Iterable[tuple[str, Reading]], *, replaces: bool = True
) -> int:
    """As `Readings.put`, in a transaction; `replaces` older readings, or keeps them."""
    seq, ids = last_seq(connection), []
    verb = "REPLACE" if replaces else "IGNORE"
    for image_id, reading in readings:
        if replaces:
            connection.execute(
                "UPDATE documents SET tags = json_remove(tags, '$.text') FROM readings r "
                "WHERE r.key = documents.key AND r.tag <> '' AND documents.id = ?",
                (image_id,),
            )
        done = connection.execute(
            f"INSERT OR {verb} INTO readings SELECT key, ?, ?, ? FROM documents WHERE id = ? AND modality = 'image'",
            (seq + 1, reading.to_json(), reading.tag, image_id),
        )
        seq += done.rowcount
        ids += [image_id] * done.rowcount
    connection.execute("UPDATE sequence SET last = ?", (seq,))
    tag_texts(connection, ids)
    return len(ids)


def tag_texts(connection: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Sets the tag `text` of those of the documents in which text was read."""
    connection.executemany(
        "UPDATE documents SET tags = json_set(tags, '$.text', r.tag) FROM readings r "
        "WHERE r.key = documents.key AND r.tag <> '' AND documents.id = ?",
        ((document_id,) for document_id in ids),
    )
