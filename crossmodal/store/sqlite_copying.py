"""Exact copies of a SQLite store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256

from crossmodal.store.copying import PAGE, Numbered, Numbers, Removal, digest, numbered
from crossmodal.store.database import Database
from crossmodal.store.sqlite_rows import COLUMNS, document_of_row, insert, last_key

_QUERY = (
    f"SELECT key, seq, vector, jpeg, content, {COLUMNS} FROM documents LEFT JOIN vectors USING (key) "
    "LEFT JOIN thumbnails USING (key) LEFT JOIN pictures USING (key)"
)


class SqliteCopying:
    """As `crossmodal.store.copying.Copying`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def numbers(self) -> Numbers:
        """As `Copying.numbers`."""
        with self._database.reading():
            last, removals_from = self._database.row("SELECT last, removals_from FROM sequence")
            keys = self._database.rows("SELECT seq FROM sqlite_sequence WHERE name = 'documents'")
        return Numbers(last, keys[0][0] if keys else 0, removals_from)

    def digests(self, after: int, until: int) -> dict[int, bytes]:
        """As `Copying.digests`."""
        result: dict[int, bytes] = {}
        query = f"{_QUERY} WHERE key > ? AND key <= ? ORDER BY key LIMIT {PAGE}"
        while rows := self._database.rows(query, [after, until]):
            for key, seq, vector, jpeg, content, *columns in rows:
                hashes = (None if blob is None else sha256(blob).digest() for blob in (vector, jpeg, content))
                result[key] = digest(key, seq, document_of_row(columns), *hashes)
            after = rows[-1][0]
        return result

    def documents(self, keys: Sequence[int]) -> list[Numbered]:
        """As `Copying.documents`."""
        rows = self._database.rows_in(f"{_QUERY} WHERE key IN (?) ORDER BY key", sorted(keys))
        return [numbered(row, document_of_row(row[5:]), str(self._database.path)) for row in rows]

    def removals(self) -> list[Removal]:
        """As `Copying.removals`."""
        return [Removal(*row) for row in self._database.rows("SELECT seq, key, modality FROM removals ORDER BY seq")]

    def replace(self, stale: Sequence[int], added: Sequence[Numbered]) -> None:
        """As `Copying.replace`."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM documents WHERE key = ?", ((key,) for key in stale))
            connection.executemany(
                "DELETE FROM documents WHERE key = ? OR id = ? OR (modality = ? AND seq = ?)",
                ((key, item.document.id, item.document.modality, seq) for key, seq, item in added),
            )
            insert(connection, added)

    def set_numbers(self, numbers: Numbers, removals: Sequence[Removal]) -> None:
        """As `Copying.set_numbers`."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM removals")
            connection.executemany("INSERT INTO removals VALUES (?, ?, ?)", removals)
            values = (numbers.last_seq, numbers.removals_from)
            connection.execute("UPDATE sequence SET last = ?, removals_from = ?", values)
            if last_key(connection) != numbers.last_key:
                connection.execute("DELETE FROM sqlite_sequence WHERE name = 'documents'")
                connection.execute("INSERT INTO sqlite_sequence VALUES ('documents', ?)", (numbers.last_key,))

    def set_closed(self, is_closed: bool) -> None:
        """As `Copying.set_closed`: the writer lock keeps others out."""

    @contextmanager
    def locked(self) -> Iterator[Callable[[], None]]:
        """As `Copying.locked`: a writable store has its folder's lock, which the kernel keeps."""
        yield lambda: None
