"""The text in the pictures of a PostgreSQL store."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from crossmodal.core.reading import Reading
from crossmodal.core.types import Keys
from crossmodal.store.postgresql_connection import Connection
from crossmodal.store.postgresql_server import Server, Transaction
from crossmodal.store.readings import EXIST, ReadingChanges, StoredReading

_ROWS = "SELECT r.key, r.seq, d.id, r.content, r.tag FROM readings r JOIN documents d USING (key)"


class PostgresqlReadings:
    """As `crossmodal.store.readings.Readings`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def put(self, readings: Iterable[tuple[str, Reading]]) -> int:
        """As `Readings.put`."""
        with self._server.writing() as transaction:
            return put_readings(transaction, readings)

    def exist(self) -> tuple[bool, bool]:
        """As `Readings.exist`."""
        are_read, have_text = self._server.row(EXIST)
        return bool(are_read), bool(have_text)

    def unread(self) -> Keys:
        """As `Readings.unread`."""
        rows = self._server.rows(
            "SELECT key FROM documents LEFT JOIN readings USING (key) WHERE modality = 'image' AND content IS NULL "
            "ORDER BY key",
            binary=True,
        )
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def of(self, image_ids: Iterable[str]) -> dict[str, Reading]:
        """As `Readings.of`."""
        query = "SELECT id, content FROM readings JOIN documents USING (key) WHERE id = ANY(%s)"
        return {name: Reading.from_json(content) for name, content in self._server.rows(query, [list(image_ids)])}

    def changes_after(
        self, seq: int, limit: int = 10_000, *, forgotten: int = 0, epoch: int = 0
    ) -> ReadingChanges | None:
        """As `Readings.changes_after`."""
        with self._server.reading() as connection:
            [(last, forgotten_now, epoch_now)] = connection.execute("SELECT last, removals_from, epoch FROM sequence")
            if seq > 0 and (seq < forgotten_now != forgotten or seq > last or epoch != epoch_now):
                return None
            rows = connection.execute(f"{_ROWS} WHERE r.seq > %s ORDER BY r.seq LIMIT %s", [seq, limit]).fetchall()
            is_all = len(rows) < limit
            until = last if is_all else rows[-1][1]
            gone = connection.execute(
                "SELECT key FROM removals WHERE modality = 'image' AND seq > %s AND seq <= %s", [seq, until]
            ).fetchall()
        removed = np.fromiter((row[0] for row in gone), np.int64, len(gone))
        return ReadingChanges([StoredReading(*row) for row in rows], removed, until, is_all, forgotten_now, epoch_now)

    def rows(self, after: int, until: int) -> list[StoredReading]:
        """As `Readings.rows`."""
        rows = self._server.rows(f"{_ROWS} WHERE r.key > %s AND r.key <= %s ORDER BY r.key", [after, until])
        return [StoredReading(*row) for row in rows]

    def replace(self, stale: Iterable[int], added: Iterable[StoredReading]) -> None:
        """As `Readings.replace`."""
        rows = list(added)
        with self._server.overwriting() as connection:
            gone = [*stale, *(row.key for row in rows)]
            connection.execute(
                "DELETE FROM readings WHERE key = ANY(%s::bigint[]) OR seq = ANY(%s::bigint[])",
                [gone, [row.seq for row in rows]],
            )
            connection.execute(
                "INSERT INTO readings SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[])",
                [[row.key for row in rows], [row.seq for row in rows], [row.content for row in rows],
                 [row.tag for row in rows]],
            )  # fmt: skip


def put_readings(transaction: Transaction, readings: Iterable[tuple[str, Reading]], *, replaces: bool = True) -> int:
    """As `Readings.put`, in a transaction; `replaces` older readings, or keeps them."""
    by_id = dict(readings)
    if not by_id:
        return 0
    connection = transaction.connection
    query = "SELECT id, key FROM documents WHERE id = ANY(%s) AND modality = 'image'"
    query += "" if replaces else " AND NOT EXISTS (SELECT 1 FROM readings WHERE readings.key = documents.key)"
    keys: dict[str, int] = dict(connection.execute(query, [list(by_id)]).fetchall())
    kept = [by_id[image_id] for image_id in keys]
    connection.execute(
        "UPDATE documents SET tags = tags - 'text' FROM readings r "
        "WHERE r.key = documents.key AND r.tag <> '' AND documents.id = ANY(%s)",
        [list(keys)],
    )
    seqs = list(range(transaction.seq + 1, transaction.seq + 1 + len(keys)))
    connection.execute(
        "INSERT INTO readings SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[]) "
        "ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, content = excluded.content, tag = excluded.tag",
        [list(keys.values()), seqs, [reading.to_json() for reading in kept], [reading.tag for reading in kept]],
    )
    transaction.seq += len(keys)
    tag_texts(connection, keys)
    return len(keys)


def tag_texts(connection: Connection, ids: Iterable[str]) -> None:
    """Sets the tag `text` of those of the documents in which text was read."""
    connection.execute(
        "UPDATE documents SET tags = jsonb_set(tags, '{text}', to_jsonb(r.tag)) FROM readings r "
        "WHERE r.key = documents.key AND r.tag <> '' AND documents.id = ANY(%s)",
        [list(ids)],
    )
