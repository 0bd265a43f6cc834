"""The vectors of a PostgreSQL store in tables of the extension pgvector, which searches them in SQL.

A table for each modality has the vectors a second time. The transaction that writes a document writes its row, so a
search sees what is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from psycopg import sql

from crossmodal.core.errors import StateError
from crossmodal.core.types import MODALITIES, Modality, Vectors
from crossmodal.store.condition import Condition
from crossmodal.store.postgresql_connection import Connection
from crossmodal.store.postgresql_server import Server, copy_rows
from crossmodal.store.where_postgresql import postgresql_sql

OLDEST = (0, 8)
"""The first version with iterative scans."""
MAX_INDEXED_DIM = 2_000
LEAST_EF, MOST_EF = 128, 1_000
"""Limits of `hnsw.ef_search`, which is twice the number of results."""
BATCH = 2_000
_NEW_TABLE = """
    CREATE TABLE {} (key bigint PRIMARY KEY REFERENCES documents (key) ON DELETE CASCADE, embedding vector({}) NOT NULL)
"""
_NEW_INDEX = "CREATE INDEX ON {} USING hnsw (embedding vector_ip_ops) WITH (m = 32, ef_construction = 64)"
"""With the links of `crossmodal.index.kinds`."""
_SCAN = "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', %s, true)"


class PgVectors:
    """Implements `protocol.SqlVectors`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def check(self) -> None:
        """As `SqlVectors.check`."""
        query = (
            "SELECT coalesce(installed_version, default_version), installed_version IS NOT NULL "
            "FROM pg_available_extensions WHERE name = 'vector'"
        )
        rows = self._server.rows(query)
        if not rows:
            raise StateError(f"{self._server.name} does not have the extension pgvector: install it there")
        [(version, is_installed)] = rows
        if tuple(map(int, version.split(".")[:2])) < OLDEST:
            step = "ALTER EXTENSION vector UPDATE" if is_installed else "install a newer one there"
            raise StateError(f"{self._server.name} has pgvector {version}, 0.8 or newer is needed: {step}")

    def is_built(self, modality: Modality) -> bool:
        """As `SqlVectors.is_built`."""
        with self._server.connection() as connection:
            return modality in tables(connection)

    def build(self, modality: Modality, dim: int) -> None:
        """As `SqlVectors.build`."""
        self.check()
        name = _table(modality)
        with self._server.writing() as transaction:
            connection = transaction.connection
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
            _add_to_path(connection)
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
            connection.execute(sql.SQL(_NEW_TABLE).format(name, sql.Literal(dim)))
            for rows in _stored(connection, modality):
                _copy(connection, modality, rows)
            if dim <= MAX_INDEXED_DIM:
                connection.execute(sql.SQL(_NEW_INDEX).format(name))
            connection.execute(sql.SQL("ANALYZE {}").format(name))

    def drop(self) -> None:
        """As `SqlVectors.drop`."""
        if not any(self.is_built(modality) for modality in MODALITIES):
            return  # a standby can't be written to
        with self._server.writing() as transaction:
            for modality in tables(transaction.connection):
                transaction.connection.execute(sql.SQL("DROP TABLE {}").format(_table(modality)))

    def count(self, modality: Modality) -> int:
        """As `SqlVectors.count`."""
        with self._server.connection() as connection:
            [(n,)] = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(_table(modality)))
        return int(n)

    def nearest(
        self, modality: Modality, query: Vectors, k: int, condition: Condition | None
    ) -> list[tuple[int, float]]:
        """As `SqlVectors.nearest`."""
        where, values = ("true", []) if condition is None else postgresql_sql(condition)
        statement = (
            sql.SQL("SELECT key, -(embedding <#> %s::vector) FROM {}").format(_table(modality))
            + sql.SQL("" if condition is None else " JOIN documents USING (key)")
            + sql.SQL(f" WHERE {where} ORDER BY embedding <#> %s::vector LIMIT %s")
        )
        text = f"[{','.join(map(repr, query.tolist()))}]"
        given = [text, *values, text, k]
        with self._server.reading() as connection:
            _add_to_path(connection)
            connection.execute(_SCAN, [str(min(MOST_EF, max(LEAST_EF, 2 * k)))])
            rows = connection.execute(statement, given).fetchall()
            if len(rows) < k:
                # The scan of the graph ends after `hnsw.max_scan_tuples`, or has no link to the rest: compare all.
                connection.execute("SET LOCAL enable_indexscan = off")
                rows = connection.execute(statement, given).fetchall()
        return [(int(key), float(score)) for key, score in rows]


def tables(connection: Connection) -> list[Modality]:
    """The modalities that have a table."""
    [is_there] = connection.execute("SELECT to_regclass('vectors_image'), to_regclass('vectors_text')")
    return [modality for modality, name in zip(MODALITIES, is_there, strict=True) if name is not None]


def insert_vectors(connection: Connection, rows: Iterable[tuple[int, Modality, Vectors]]) -> None:
    """Inserts (key, modality, vector) rows into those tables that exist."""
    by_modality: dict[Modality, list[tuple[int, bytes]]] = {modality: [] for modality in tables(connection)}
    for key, modality, vector in rows:
        if modality in by_modality:
            by_modality[modality].append((key, np.asarray(vector, "<f4").tobytes()))
    for modality, of_modality in by_modality.items():
        _copy(connection, modality, of_modality)


def _copy(connection: Connection, modality: Modality, rows: Sequence[tuple[int, bytes]]) -> None:
    """Copies keys and vectors (little-endian float32) in the binary format of pgvector."""
    # The bytes are sent as they are.
    copy_rows(connection, f"vectors_{modality}", ["int8", "bytea"], ((key, _binary(vector)) for key, vector in rows))


def _binary(content: bytes) -> bytes:
    vector = np.frombuffer(content, "<f4")
    return np.array([len(vector), 0], ">i2").tobytes() + vector.astype(">f4").tobytes()


def _stored(connection: Connection, modality: Modality) -> Iterator[list[tuple[int, bytes]]]:
    """The keys and vectors of the store, rising, in batches."""
    stored = "SELECT key, vector FROM documents JOIN vectors USING (key)"
    query = f"{stored} WHERE modality = %s AND key > %s ORDER BY key LIMIT %s"
    after = 0
    while rows := connection.execute(query, [modality, after, BATCH], binary=True).fetchall():
        after = rows[-1][0]
        yield [(int(key), bytes(vector)) for key, vector in rows]


def _add_to_path(connection: Connection) -> None:
    """Makes the types and operators of the extension known for the rest of the transaction."""
    connection.execute(
        "SELECT set_config('search_path', current_setting('search_path') || ', ' || quote_ident(nspname), true) "
        "FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'"
    )


def _table(modality: Modality) -> sql.Identifier:
    return sql.Identifier(f"vectors_{modality}")
