"""The store in one SQLite file. One process writes while any number of others read (WAL).

The file is longer than 300 lines because each method is one query over the same tables.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.core.types import MODALITIES, Document, Keys, Modality, Vectors
from crossmodal.store.condition import Condition
from crossmodal.store.database import Database
from crossmodal.store.protocol import Outcome
from crossmodal.store.records import (
    NewDocument,
    StoreChanges,
    by_name,
    merged,
    reading_of,
    readings_of,
    stacked_vectors,
    tags_json,
    texts_of_list,
)
from crossmodal.store.remembered import Remembered
from crossmodal.store.saved_searches import SqliteSearches
from crossmodal.store.sqlite_copying import SqliteCopying
from crossmodal.store.sqlite_files import SqliteFiles
from crossmodal.store.sqlite_readings import SqliteReadings, put_readings, tag_texts
from crossmodal.store.sqlite_rows import COLUMNS, describe, document_of_row, insert, last_key, last_seq
from crossmodal.store.where_sqlite import path_of_tag, sqlite_sql, text_of_tag

__all__ = ["DocumentStore", "NewDocument", "StoreChanges"]

_OF_PICTURES = "FROM documents WHERE image_id IN (?) AND image_id <> '' ORDER BY key"
"""The captions of pictures. The second condition makes SQLite use its partial index, which excludes empty ones."""
_TRIES = 8


class DocumentStore:
    """A `Store` in a folder."""

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        """Opens the store of a collection; `writable` creates it if needed, and locks it.

        Raises:
            StateError: The store does not exist, has another format, or another process is writing to it.
        """
        self.database = Database(folder, writable=writable)
        self.path = self.database.path
        self.files = SqliteFiles(self.database)
        self.readings = SqliteReadings(self.database)
        self.searches = SqliteSearches(self.database)
        self.copying = SqliteCopying(self.database)
        self._remembered = Remembered(self.data_version)

    @property
    def name(self) -> str:
        """As `Store.name`."""
        return str(self.path)

    @property
    def sql_vectors(self) -> None:
        """As `Store.sql_vectors`."""
        return None

    def close(self) -> None:
        """As `Store.close`."""
        self.database.close()

    def __enter__(self) -> DocumentStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing

    def put(self, items: Sequence[NewDocument]) -> list[Outcome]:
        """As `Store.put`."""
        with self.database.writing() as connection:
            ids = [item.document.id for item in items]
            known = {row[0] for row in self.database.rows_in("SELECT id FROM documents WHERE id IN (?)", ids)}
            seq, key = last_seq(connection), last_key(connection)
            outcomes: list[Outcome] = []
            new: list[tuple[int, int, NewDocument]] = []
            for item in items:
                outcomes.append("unchanged" if item.document.id in known else "indexed")
                if item.document.id not in known:
                    known.add(item.document.id)
                    seq, key = seq + 1, key + 1
                    new.append((key, seq, item))
            insert(connection, new)
            connection.execute("UPDATE sequence SET last = ?", (seq,))
            pairs = zip(items, outcomes, strict=True)
            changed = [item.document for item, outcome in pairs if outcome == "unchanged"]
            describe(connection, changed)
            tag_texts(connection, [document.id for document in changed])
            put_readings(connection, readings_of(items), replaces=False)
        return outcomes

    def describe(self, documents: Iterable[Document]) -> None:
        """As `Store.describe`."""
        changed = list(documents)
        with self.database.writing() as connection:
            describe(connection, changed)
            tag_texts(connection, [document.id for document in changed])

    def update(self, changes: Iterable[tuple[str, dict[str, Any]]]) -> list[bool]:
        """As `Store.update`."""
        are_known = []
        with self.database.writing() as connection:
            for document_id, patch in changes:
                row = connection.execute("SELECT tags FROM documents WHERE id = ?", (document_id,)).fetchone()
                are_known.append(row is not None)
                if row is not None:
                    tags = tags_json(merged(json.loads(row[0]), patch))
                    connection.execute("UPDATE documents SET tags = ? WHERE id = ?", (tags, document_id))
        return are_known

    def add_content(self, image_id: str, content: bytes) -> None:
        """As `Store.add_content`."""
        with self.database.writing() as connection:
            connection.execute("INSERT INTO pictures SELECT key, ? FROM documents WHERE id = ?", (content, image_id))

    def remove(self, ids: Iterable[str]) -> list[Document]:
        """As `Store.remove`."""
        given, columns = list(ids), f"SELECT key, {COLUMNS} FROM documents WHERE"
        with self.database.writing() as connection:
            rows = list(self.database.rows_in(f"{columns} id IN (?)", given))
            rows += self.database.rows_in(f"{columns} image_id IN (?) AND image_id <> ''", given)
            removed = {key: document_of_row(row) for key, *row in sorted(rows)}
            seq = last_seq(connection)
            numbered = enumerate(removed.items(), start=seq + 1)
            connection.executemany(
                "INSERT INTO removals VALUES (?, ?, ?)", ((number, key, d.modality) for number, (key, d) in numbered)
            )
            connection.executemany("DELETE FROM documents WHERE key = ?", ((key,) for key in removed))
            connection.execute("UPDATE sequence SET last = ?", (seq + len(removed),))
        return list(removed.values())

    def compact(self) -> tuple[int, int]:
        """As `Store.compact`."""
        before = self.size_bytes()
        with self.database.writing() as connection:
            connection.execute("UPDATE sequence SET removals_from = last")
            connection.execute("DELETE FROM removals")
        self.database.give_back_space()
        return before, self.size_bytes()

    # -- reading

    def size_bytes(self) -> int:
        """As `Store.size_bytes`."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(path.stat().st_size for path in files if path.exists())

    def data_version(self) -> tuple[int, int]:
        """As `Store.data_version`."""
        return self.database.version()

    def problems(self) -> Iterator[tuple[str, str]]:
        """As `Store.problems`."""
        for (result,) in self.database.rows("PRAGMA integrity_check"):
            if result != "ok":
                yield self.name, f"{result}: move the collection away and index again, or import an export"
        for table, *_ in self.database.rows("PRAGMA foreign_key_check"):
            yield self.name, f"a row of {table} belongs to no document"
        for (document_id,) in self.database.rows(
            "SELECT id FROM documents WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.key = documents.key)"
        ):
            yield document_id, "has no vector: delete it and index it again"

    def store_id(self) -> str:
        """As `Store.store_id`."""
        return str(self.database.row("SELECT store_id FROM sequence")[0])

    def last_seq(self) -> int:
        """As `Store.last_seq`."""
        return int(self.database.row("SELECT last FROM sequence")[0])

    def behind_s(self) -> float:
        """As `Store.behind_s`."""
        return 0.0

    def acknowledged(self) -> str:
        """As `Store.acknowledged`."""
        return "one machine"

    def counts(self) -> dict[Modality, int]:
        """As `Store.counts`."""
        query = "SELECT modality, count(*) FROM documents GROUP BY modality"
        rows = dict(self._remembered.value(query, lambda: self.database.rows(query)))
        return {modality: int(rows.get(modality, 0)) for modality in MODALITIES}

    def known(self, ids: Iterable[str]) -> dict[str, Document]:
        """As `Store.known`."""
        rows = self.database.rows_in(f"SELECT {COLUMNS} FROM documents WHERE id IN (?)", ids)
        return {row[0]: document_of_row(row) for row in rows}

    def without_content(self, ids: Iterable[str]) -> list[str]:
        """As `Store.without_content`."""
        rows = self.database.rows_in(
            "SELECT id FROM documents WHERE id IN (?) AND key NOT IN (SELECT key FROM pictures)", ids
        )
        return [row[0] for row in rows]

    def document(self, document_id: str) -> Document | None:
        """As `Store.document`."""
        return self.known([document_id]).get(document_id)

    def by_keys(self, keys: Iterable[int]) -> dict[int, Document]:
        """As `Store.by_keys`."""
        rows = self.database.rows_in(f"SELECT key, {COLUMNS} FROM documents WHERE key IN (?)", keys)
        return {key: document_of_row(row) for key, *row in rows}

    def captions_of(self, image_ids: Iterable[str]) -> dict[str, list[Document]]:
        """As `Store.captions_of`."""
        rows = self.database.rows_in(f"SELECT image_id, {COLUMNS} {_OF_PICTURES}", image_ids)
        return by_name((image_id, document_of_row(row)) for image_id, *row in rows)

    def caption_texts_of(self, image_ids: Iterable[str]) -> dict[str, list[str]]:
        """As `Store.caption_texts_of`."""
        return by_name(self.database.rows_in(f"SELECT image_id, text {_OF_PICTURES}", image_ids))

    def captions_by_keys(self, keys: Iterable[int]) -> list[tuple[int, str, int | None]]:
        """As `Store.captions_by_keys`."""
        rows = self.database.rows_in(
            "SELECT c.key, c.text, p.key FROM documents c LEFT JOIN documents p "
            "ON p.id = c.image_id AND p.modality = 'image' "
            "WHERE c.key IN (?) AND c.modality = 'text' AND c.image_id <> '' ORDER BY c.key",
            sorted(keys),
        )
        return list(rows)

    def random_captions(self, n: int) -> list[Document]:
        """As `Store.random_captions`."""
        of_captions = "seq FROM documents WHERE modality = 'text' ORDER BY seq"  # min and max would read all of them
        first, last = self.database.row(f"SELECT (SELECT {of_captions} LIMIT 1), (SELECT {of_captions} DESC LIMIT 1)")
        result: dict[str, Document] = {}
        for _ in range(_TRIES * n if last is not None else 0):
            rows = self.database.rows(
                f"SELECT {COLUMNS} FROM documents WHERE modality = 'text' AND seq >= ? ORDER BY seq LIMIT 1",
                [random.randint(first, last)],
            )
            for caption in map(document_of_row, rows):
                if caption.image_id:
                    result.setdefault(caption.image_id, caption)
            if len(result) == n:
                break
        return list(result.values())

    def ids_where(self, condition: Condition) -> list[str]:
        """As `Store.ids_where`."""
        sql, values = sqlite_sql(condition)
        rows = self.database.rows(f"SELECT id FROM documents WHERE {sql} ORDER BY key", values)
        return [row[0] for row in rows]

    def keys_where(self, condition: Condition, modality: Modality) -> Keys:
        """As `Store.keys_where`."""

        def read() -> Keys:
            sql, values = sqlite_sql(condition)
            return self._keys(f"SELECT key FROM documents WHERE modality = ? AND {sql}", [modality, *values])

        return self._remembered.value(repr((modality, condition)), read)

    def keys(self, modality: Modality) -> Keys:
        """As `Store.keys`."""
        return self._keys("SELECT key FROM documents WHERE modality = ?", [modality])

    def _keys(self, query: str, values: Sequence[object]) -> Keys:
        rows = self.database.rows(f"{query} ORDER BY key", values)
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def tag_texts(self, modality: Modality, names: Sequence[str]) -> list[tuple[Any, ...]]:
        """As `Store.tag_texts`."""
        columns, values = zip(*map(text_of_tag, names), strict=True)
        query = f"SELECT key, {', '.join(columns)} FROM documents WHERE modality = ? ORDER BY key"
        return self.database.rows(query, [*chain(*values), modality])

    def tag_lists(self, modality: Modality, name: str) -> list[tuple[int, list[str]]]:
        """As `Store.tag_lists`."""
        rows = self.database.rows(
            "SELECT key, json_extract(tags, ?) FROM documents WHERE modality = ? "
            "AND CASE WHEN json_valid(tags) THEN json_type(tags, ?) END = 'array' ORDER BY key",
            [path := path_of_tag(name), modality, path],
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
        """As `Store.changes_after`; the epoch is always 0."""
        with self.database.reading():
            last, forgotten_now = self.database.row("SELECT last, removals_from FROM sequence")
            if 0 < seq < forgotten_now != forgotten:
                return None
            read = "v.vector FROM documents d JOIN vectors v USING (key)" if with_vectors else "x'' FROM documents d"
            rows = self.database.rows(
                f"SELECT d.key, d.seq, {read} WHERE d.modality = ? AND d.seq > ? ORDER BY d.seq LIMIT ?",
                [modality, seq, limit],
            )
            is_all = len(rows) < limit
            until = int(last) if is_all else int(rows[-1][1])
            gone = self.database.rows(
                "SELECT key FROM removals WHERE modality = ? AND seq > ? AND seq <= ?", [modality, seq, until]
            )
        return StoreChanges.of_rows(rows, gone, until, is_all, int(forgotten_now))

    def vectors_of(self, ids: Iterable[str]) -> dict[str, Vectors]:
        """As `Store.vectors_of`."""
        rows = self.database.rows_in("SELECT id, vector FROM documents JOIN vectors USING (key) WHERE id IN (?)", ids)
        return {document_id: np.frombuffer(vector, "<f4") for document_id, vector in rows}

    def caption_vectors_of(self, image_ids: Iterable[str]) -> dict[str, Vectors]:
        """As `Store.caption_vectors_of`."""
        # The plus keeps SQLite from its index of modalities, by which it would read all captions.
        query = (
            "SELECT image_id, vector FROM documents JOIN vectors USING (key) "
            "WHERE image_id IN (?) AND image_id <> '' AND +modality = 'text' ORDER BY key"
        )
        return stacked_vectors(self.database.rows_in(query, image_ids))

    def everything(self, after_key: int, limit: int) -> list[tuple[int, NewDocument]]:
        """As `Store.everything`."""
        rows = self.database.rows(
            f"SELECT key, vector, jpeg, pictures.content, readings.content, {COLUMNS} FROM documents "
            "JOIN vectors USING (key) LEFT JOIN thumbnails USING (key) LEFT JOIN pictures USING (key) "
            "LEFT JOIN readings USING (key) WHERE key > ? ORDER BY key LIMIT ?",
            [after_key, limit],
        )
        return [
            (
                key,
                NewDocument(document_of_row(row), np.frombuffer(vector, "<f4"), jpeg, content, reading_of(reading)),
            )
            for key, vector, jpeg, content, reading, *row in rows
        ]

    def thumbnail(self, image_id: str) -> bytes | None:
        """As `Store.thumbnail`."""
        return self._blob("SELECT jpeg FROM thumbnails JOIN documents USING (key) WHERE id = ?", image_id)

    def thumbnails(self, keys: Iterable[int]) -> dict[int, bytes]:
        """As `Store.thumbnails`."""
        return dict(self.database.rows_in("SELECT key, jpeg FROM thumbnails WHERE key IN (?)", keys))

    def content(self, image_id: str) -> bytes | None:
        """As `Store.content`."""
        return self._blob("SELECT content FROM pictures JOIN documents USING (key) WHERE id = ?", image_id)

    def _blob(self, query: str, image_id: str) -> bytes | None:
        rows = self.database.rows(query, [image_id])
        return bytes(rows[0][0]) if rows else None
