"""The store in a schema of a PostgreSQL database. Several processes on several machines write and read it.

The file is longer than 300 lines because each method is one query over the same tables.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from crossmodal.core.types import MODALITIES, Document, Keys, Modality, Vectors
from crossmodal.store.condition import Condition
from crossmodal.store.pgvector import PgVectors
from crossmodal.store.postgresql_copying import PostgresqlCopying
from crossmodal.store.postgresql_files import PostgresqlFiles
from crossmodal.store.postgresql_readings import PostgresqlReadings, put_readings, tag_texts
from crossmodal.store.postgresql_rows import COLUMNS, checked_tags_json, describe, insert
from crossmodal.store.postgresql_searches import PostgresqlSearches
from crossmodal.store.postgresql_server import Server
from crossmodal.store.protocol import Outcome
from crossmodal.store.records import (
    NewDocument,
    StoreChanges,
    by_name,
    merged,
    reading_of,
    readings_of,
    stacked_vectors,
    texts_of_list,
)
from crossmodal.store.remembered import Remembered
from crossmodal.store.where_postgresql import postgresql_sql, text_of_tag

_ACKNOWLEDGED = """
    SELECT CASE
        WHEN pg_is_in_recovery() THEN 'primary decides'
        WHEN current_setting('synchronous_standby_names') = '' OR value = 'local' THEN 'one machine'
        WHEN value = 'on' THEN 'remote_flush'
        ELSE value END
    FROM current_setting('synchronous_commit') AS value
"""
_TABLES = "documents, vectors, thumbnails, pictures, readings, removals, files, saved_searches, sequence"
_BEHIND = """
    SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0
        WHEN EXISTS (SELECT 1 FROM pg_stat_wal_receiver WHERE pg_last_wal_replay_lsn() >=
            greatest(pg_last_wal_receive_lsn(), latest_end_lsn)) THEN 0
        ELSE extract(epoch FROM clock_timestamp() - coalesce(pg_last_xact_replay_timestamp(), 'epoch')) END
"""
"""`latest_end_lsn`, the end of the sender's log, is NULL without the rights of pg_read_all_stats."""
_OF_PICTURES = "FROM documents WHERE image_id = ANY(%s) AND image_id <> '' ORDER BY key"
"""The captions of pictures."""
_TRIES = 8


class PostgresqlStore:
    """A `Store` on a PostgreSQL server."""

    def __init__(self, url: str, schema: str, *, writable: bool = False) -> None:
        """Connects to the store of a collection; `writable` creates it if needed.

        Args:
            url: postgresql://USER@HOST/DATABASE, with any options of libpq.
            schema: The schema of the store, which has no other tables.
            writable: Whether to change the store; other processes may do so, too.

        Raises:
            InputError: The URL is invalid.
            StateError: The server can't be reached, refuses the user or is too old; the store does not exist, or has
                another format.
            NotWritableError: `writable`, and the server is a standby, or the user may not create the schema.
        """
        self._server = Server(url, schema, writable=writable)
        self.files = PostgresqlFiles(self._server)
        self.sql_vectors = PgVectors(self._server)
        self.readings = PostgresqlReadings(self._server)
        self.searches = PostgresqlSearches(self._server)
        self.copying = PostgresqlCopying(self._server)
        self._remembered = Remembered(self.data_version)

    @property
    def name(self) -> str:
        """As `Store.name`."""
        return self._server.name

    def close(self) -> None:
        """As `Store.close`."""
        self._server.close()

    def __enter__(self) -> PostgresqlStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing

    def put(self, items: Sequence[NewDocument]) -> list[Outcome]:
        """As `Store.put`."""
        outcomes: list[Outcome] = []
        new: list[tuple[int, int, NewDocument]] = []
        with self._server.writing() as transaction:
            connection = transaction.connection
            ids = [item.document.id for item in items]
            rows = connection.execute("SELECT id FROM documents WHERE id = ANY(%s)", [ids])
            known = {row[0] for row in rows}
            changed = []
            for item in items:
                outcomes.append("unchanged" if item.document.id in known else "indexed")
                if outcomes[-1] == "unchanged":
                    changed.append(item.document)
                    continue
                known.add(item.document.id)
                transaction.seq += 1
                transaction.key += 1
                new.append((transaction.key, transaction.seq, item))
            insert(connection, new)
            describe(connection, changed)
            tag_texts(connection, [document.id for document in changed])
            put_readings(transaction, readings_of(items), replaces=False)
        return outcomes

    def describe(self, documents: Iterable[Document]) -> None:
        """As `Store.describe`."""
        changed = list(documents)
        with self._server.writing() as transaction:
            describe(transaction.connection, changed)
            tag_texts(transaction.connection, [document.id for document in changed])

    def update(self, changes: Iterable[tuple[str, dict[str, Any]]]) -> list[bool]:
        """As `Store.update`."""
        patches = list(changes)
        with self._server.writing() as transaction:
            rows = transaction.connection.execute(
                "SELECT id, tags FROM documents WHERE id = ANY(%s)", [[document_id for document_id, _ in patches]]
            )
            tags: dict[str, dict[str, Any]] = dict(rows.fetchall())
            for document_id, patch in patches:
                if document_id in tags:
                    tags[document_id] = merged(tags[document_id], patch)
            transaction.connection.execute(
                "UPDATE documents SET tags = new.tags::jsonb FROM unnest(%s::text[], %s::text[]) AS new (id, tags) "
                "WHERE documents.id = new.id",
                [list(tags), [checked_tags_json(document_id, value) for document_id, value in tags.items()]],
            )
        return [document_id in tags for document_id, _ in patches]

    def add_content(self, image_id: str, content: bytes) -> None:
        """As `Store.add_content`."""
        with self._server.writing() as transaction:
            transaction.connection.execute(
                "INSERT INTO pictures SELECT key, %s FROM documents WHERE id = %s", [content, image_id]
            )

    def remove(self, ids: Iterable[str]) -> list[Document]:
        """As `Store.remove`."""
        with self._server.writing() as transaction:
            given = list(ids)
            rows = transaction.connection.execute(
                f"SELECT key, {COLUMNS} FROM documents WHERE id = ANY(%s) UNION ALL SELECT key, {COLUMNS} "
                "FROM documents WHERE image_id = ANY(%s) AND image_id <> '' AND id <> ALL(%s) ORDER BY key",
                [given, given, given],
            ).fetchall()
            keys, removed = [row[0] for row in rows], [Document(*row[1:]) for row in rows]
            seqs = list(range(transaction.seq + 1, transaction.seq + 1 + len(keys)))
            transaction.connection.execute(
                "INSERT INTO removals SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[])",
                [seqs, keys, [document.modality for document in removed]],
            )
            transaction.connection.execute("DELETE FROM documents WHERE key = ANY(%s)", [keys])
            transaction.seq += len(keys)
        return removed

    def compact(self) -> tuple[int, int]:
        """As `Store.compact`. Other processes wait until it is done."""
        before = self.size_bytes()
        with self._server.writing() as transaction:
            transaction.connection.execute("UPDATE sequence SET removals_from = last")
            transaction.connection.execute("DELETE FROM removals")
        with self._server.connection() as connection:
            connection.execute(f"VACUUM (FULL, ANALYZE) {_TABLES}")
        return before, self.size_bytes()

    # -- reading

    def size_bytes(self) -> int:
        """As `Store.size_bytes`, with the indexes of the tables."""
        query = (
            "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class "
            "WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r'"
        )
        return int(self._server.row(query)[0])

    def data_version(self) -> tuple[int, int]:
        """As `Store.data_version`; takes a round trip to the server."""
        epoch, version = self._server.row("SELECT epoch, version FROM sequence")
        return int(epoch), int(version)

    def problems(self) -> Iterator[tuple[str, str]]:
        """As `Store.problems`; damage to files is for the server's own `pg_amcheck`."""
        for (document_id,) in self._server.rows(
            "SELECT id FROM documents WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.key = documents.key)"
        ):
            yield document_id, "has no vector: delete it and index it again"

    def store_id(self) -> str:
        """As `Store.store_id`."""
        return str(self._server.row("SELECT store_id FROM sequence")[0])

    def last_seq(self) -> int:
        """As `Store.last_seq`."""
        return int(self._server.row("SELECT last FROM sequence")[0])

    def behind_s(self) -> float:
        """As `Store.behind_s`; a standby that receives nothing counts from the last commit that it has."""
        return float(self._server.row(_BEHIND)[0])

    def acknowledged(self) -> str:
        """As `Store.acknowledged`, for commits of this user."""
        return str(self._server.row(_ACKNOWLEDGED)[0])

    def counts(self) -> dict[Modality, int]:
        """As `Store.counts`."""
        query = "SELECT modality, count(*) FROM documents GROUP BY modality"
        rows = dict(self._remembered.value(query, lambda: self._server.rows(query)))
        return {modality: int(rows.get(modality, 0)) for modality in MODALITIES}

    def known(self, ids: Iterable[str]) -> dict[str, Document]:
        """As `Store.known`."""
        rows = self._server.rows(f"SELECT {COLUMNS} FROM documents WHERE id = ANY(%s)", [list(ids)])
        return {row[0]: Document(*row) for row in rows}

    def without_content(self, ids: Iterable[str]) -> list[str]:
        """As `Store.without_content`."""
        rows = self._server.rows(
            "SELECT id FROM documents LEFT JOIN pictures USING (key) WHERE id = ANY(%s) AND content IS NULL",
            [list(ids)],
        )
        return [row[0] for row in rows]

    def document(self, document_id: str) -> Document | None:
        """As `Store.document`."""
        return self.known([document_id]).get(document_id)

    def by_keys(self, keys: Iterable[int]) -> dict[int, Document]:
        """As `Store.by_keys`."""
        rows = self._server.rows(f"SELECT key, {COLUMNS} FROM documents WHERE key = ANY(%s::bigint[])", [list(keys)])
        return {row[0]: Document(*row[1:]) for row in rows}

    def captions_of(self, image_ids: Iterable[str]) -> dict[str, list[Document]]:
        """As `Store.captions_of`."""
        rows = self._server.rows(f"SELECT image_id, {COLUMNS} {_OF_PICTURES}", [list(image_ids)])
        return by_name((row[0], Document(*row[1:])) for row in rows)

    def caption_texts_of(self, image_ids: Iterable[str]) -> dict[str, list[str]]:
        """As `Store.caption_texts_of`."""
        return by_name(self._server.rows(f"SELECT image_id, text {_OF_PICTURES}", [list(image_ids)]))

    def captions_by_keys(self, keys: Iterable[int]) -> list[tuple[int, str, int | None]]:
        """As `Store.captions_by_keys`."""
        return self._server.rows(
            "SELECT c.key, c.text, p.key FROM documents c LEFT JOIN documents p "
            "ON p.id = c.image_id AND p.modality = 'image' "
            "WHERE c.key = ANY(%s::bigint[]) AND c.modality = 'text' AND c.image_id <> '' ORDER BY c.key",
            [list(keys)],
        )

    def random_captions(self, n: int) -> list[Document]:
        """As `Store.random_captions`."""
        first, last = self._server.row("SELECT min(seq), max(seq) FROM documents WHERE modality = 'text'")
        if last is None:
            return []
        drawn = [random.randint(first, last) for _ in range(_TRIES * n)]
        rows = self._server.rows(
            f"SELECT caption.* FROM unnest(%s::bigint[]) AS drawn (seq) CROSS JOIN LATERAL (SELECT {COLUMNS} "
            "FROM documents WHERE modality = 'text' AND seq >= drawn.seq ORDER BY seq LIMIT 1) AS caption",
            [drawn],
        )
        by_picture = {caption.image_id: caption for row in rows if (caption := Document(*row)).image_id}
        return list(by_picture.values())[:n]

    def ids_where(self, condition: Condition) -> list[str]:
        """As `Store.ids_where`."""
        sql, values = postgresql_sql(condition)
        return [row[0] for row in self._server.rows(f"SELECT id FROM documents WHERE {sql} ORDER BY key", values)]

    def keys_where(self, condition: Condition, modality: Modality) -> Keys:
        """As `Store.keys_where`."""

        def read() -> Keys:
            sql, values = postgresql_sql(condition)
            return self._keys(f"SELECT key FROM documents WHERE modality = %s AND {sql}", [modality, *values])

        return self._remembered.value(repr((modality, condition)), read)

    def keys(self, modality: Modality) -> Keys:
        """As `Store.keys`."""
        return self._keys("SELECT key FROM documents WHERE modality = %s", [modality])

    def _keys(self, query: str, values: Sequence[object]) -> Keys:
        rows = self._server.rows(query, values, binary=True)
        return np.sort(np.fromiter((row[0] for row in rows), np.int64, len(rows)))

    def tag_texts(self, modality: Modality, names: Sequence[str]) -> list[tuple[Any, ...]]:
        """As `Store.tag_texts`."""
        columns, values = zip(*map(text_of_tag, names), strict=True)
        query = f"SELECT key, {', '.join(columns)} FROM documents WHERE modality = %s ORDER BY key"
        return self._server.rows(query, [*chain(*values), modality])

    def tag_lists(self, modality: Modality, name: str) -> list[tuple[int, list[str]]]:
        """As `Store.tag_lists`."""
        rows = self._server.rows(
            "SELECT key, (tags -> %s::text)::text FROM documents WHERE modality = %s "
            "AND jsonb_typeof(tags -> %s::text) = 'array' ORDER BY key",
            [name, modality, name],
        )
        return [(key, texts_of_list(content)) for key, content in rows]

    def changes_after(
        self,
        modality: Modality,
        seq: int,
        limit: int = 10_000,
        *,
        forgotten: int = 0,
        epoch: int = 0,
        with_vectors: bool = True,
    ) -> StoreChanges | None:
        """As `Store.changes_after`."""
        read = "v.vector FROM documents d JOIN vectors v USING (key)" if with_vectors else "''::bytea FROM documents d"
        with self._server.reading() as connection:
            [(last, forgotten_now, epoch_now)] = connection.execute("SELECT last, removals_from, epoch FROM sequence")
            if seq > 0 and (seq < forgotten_now != forgotten or seq > last or epoch != epoch_now):
                return None
            rows = connection.execute(
                f"SELECT d.key, d.seq, {read} WHERE d.modality = %s AND d.seq > %s ORDER BY d.seq LIMIT %s",
                [modality, seq, limit],
                binary=True,
            ).fetchall()
            is_all = len(rows) < limit
            until = last if is_all else rows[-1][1]
            gone = connection.execute(
                "SELECT key FROM removals WHERE modality = %s AND seq > %s AND seq <= %s", [modality, seq, until]
            ).fetchall()
        return StoreChanges.of_rows(rows, gone, until, is_all, forgotten_now, epoch_now)

    def vectors_of(self, ids: Iterable[str]) -> dict[str, Vectors]:
        """As `Store.vectors_of`."""
        query = "SELECT id, vector FROM documents JOIN vectors USING (key) WHERE id = ANY(%s)"
        rows = self._server.rows(query, [list(ids)], binary=True)
        return {document_id: np.frombuffer(vector, "<f4") for document_id, vector in rows}

    def caption_vectors_of(self, image_ids: Iterable[str]) -> dict[str, Vectors]:
        """As `Store.caption_vectors_of`."""
        query = (
            "SELECT image_id, vector FROM documents JOIN vectors USING (key) "
            "WHERE image_id = ANY(%s) AND image_id <> '' AND modality = 'text' ORDER BY key"
        )
        return stacked_vectors(self._server.rows(query, [list(image_ids)], binary=True))

    def everything(self, after_key: int, limit: int) -> list[tuple[int, NewDocument]]:
        """As `Store.everything`."""
        rows = self._server.rows(
            f"SELECT key, vector, jpeg, pictures.content, readings.content, {COLUMNS} FROM documents "
            "JOIN vectors USING (key) LEFT JOIN thumbnails USING (key) LEFT JOIN pictures USING (key) "
            "LEFT JOIN readings USING (key) WHERE key > %s ORDER BY key LIMIT %s",
            [after_key, limit],
            binary=True,
        )
        return [
            (key, NewDocument(Document(*row), np.frombuffer(vector, "<f4"), jpeg, content, reading_of(reading)))
            for key, vector, jpeg, content, reading, *row in rows
        ]

    def thumbnail(self, image_id: str) -> bytes | None:
        """As `Store.thumbnail`."""
        return self._blob("SELECT jpeg FROM thumbnails JOIN documents USING (key) WHERE id = %s", image_id)

    def thumbnails(self, keys: Iterable[int]) -> dict[int, bytes]:
        """As `Store.thumbnails`."""
        query = "SELECT key, jpeg FROM thumbnails WHERE key = ANY(%s)"
        return {key: bytes(jpeg) for key, jpeg in self._server.rows(query, [list(keys)], binary=True)}

    def content(self, image_id: str) -> bytes | None:
        """As `Store.content`."""
        return self._blob("SELECT content FROM pictures JOIN documents USING (key) WHERE id = %s", image_id)

    def _blob(self, query: str, image_id: str) -> bytes | None:
        rows = self._server.rows(query, [image_id], binary=True)
        return bytes(rows[0][0]) if rows else None
