"""Exact copies of a PostgreSQL store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from crossmodal.core.types import Document
from crossmodal.store.copying import Numbered, Numbers, Removal, digest, numbered
from crossmodal.store.postgresql_connection import Connection
from crossmodal.store.postgresql_rows import COLUMNS, insert
from crossmodal.store.postgresql_server import Server

_TABLES = "FROM documents LEFT JOIN vectors USING (key) LEFT JOIN thumbnails USING (key) LEFT JOIN pictures USING (key)"


class PostgresqlCopying:
    """As `crossmodal.store.copying.Copying`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def numbers(self) -> Numbers:
        """As `Copying.numbers`."""
        return Numbers(*self._server.row("SELECT last, last_key, removals_from FROM sequence"))

    def digests(self, after: int, until: int) -> dict[int, bytes]:
        """As `Copying.digests`; the server computes those of vectors and pictures."""
        rows = self._server.rows(
            f"SELECT key, seq, sha256(vector), sha256(jpeg), sha256(content), {COLUMNS} {_TABLES} "
            "WHERE key > %s AND key <= %s ORDER BY key",
            [after, until],
            binary=True,
        )
        return {row[0]: digest(row[0], row[1], Document(*row[5:]), *row[2:5]) for row in rows}

    def documents(self, keys: Sequence[int]) -> list[Numbered]:
        """As `Copying.documents`."""
        rows = self._server.rows(
            f"SELECT key, seq, vector, jpeg, content, {COLUMNS} {_TABLES} WHERE key = ANY(%s::bigint[]) ORDER BY key",
            [list(keys)],
            binary=True,
        )
        return [numbered(row, Document(*row[5:]), self._server.name) for row in rows]

    def removals(self) -> list[Removal]:
        """As `Copying.removals`."""
        return [Removal(*row) for row in self._server.rows("SELECT seq, key, modality FROM removals ORDER BY seq")]

    def replace(self, stale: Sequence[int], added: Sequence[Numbered]) -> None:
        """As `Copying.replace`."""
        documents = [item.document for _, _, item in added]
        with self._server.overwriting() as connection:
            connection.execute(
                "DELETE FROM documents WHERE key = ANY(%s::bigint[]) OR id = ANY(%s)",
                [[*stale, *(key for key, _, _ in added)], [document.id for document in documents]],
            )
            connection.execute(
                "DELETE FROM documents d USING unnest(%s::text[], %s::bigint[]) AS new (modality, seq) "
                "WHERE d.modality = new.modality AND d.seq = new.seq",
                [[document.modality for document in documents], [seq for _, seq, _ in added]],
            )
            insert(connection, added)

    def set_numbers(self, numbers: Numbers, removals: Sequence[Removal]) -> None:
        """As `Copying.set_numbers`."""
        with self._server.overwriting() as connection:
            connection.execute("DELETE FROM removals")
            columns = [list(column) for column in zip(*removals, strict=True)] or [[], [], []]
            connection.execute(
                "INSERT INTO removals SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[])", columns
            )
            connection.execute(
                "UPDATE sequence SET last = %s, last_key = %s, removals_from = %s",
                [numbers.last_seq, numbers.last_key, numbers.removals_from],
            )

    def set_closed(self, is_closed: bool) -> None:
        """As `Copying.set_closed`."""
        with self._server.overwriting() as connection:
            connection.execute("UPDATE sequence SET is_closed = %s", [is_closed])

    @contextmanager
    def locked(self) -> Iterator[Callable[[], None]]:
        """As `Copying.locked`: writers wait, because each locks the same row first."""
        with self._server.writing() as transaction:
            yield lambda: _ask(transaction.connection)


def _ask(connection: Connection) -> None:
    connection.execute("SELECT 1")
