"""The store: documents, vectors and thumbnails in one SQLite file.

The store is authoritative; indexes are rebuilt from it. One process writes while any number of others read (WAL). When
`put`, `update` or `remove` returns, its changes are durable.

The file is longer than 300 lines because each method is one query over the same tables.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from crossmodal.core.types import MODALITIES, Document, Keys, Modality, Vectors
from crossmodal.store.condition import Condition
from crossmodal.store.database import Database
from crossmodal.store.records import (
    COLUMNS,
    NewDocument,
    StoreChanges,
    describe,
    document_of_row,
    insert,
    last_key,
    last_seq,
    merged,
    tags_json,
)
from crossmodal.store.where_sqlite import sqlite_sql

__all__ = ["DocumentStore", "NewDocument", "Outcome", "StoreChanges"]

T = TypeVar("T")
Outcome = Literal["indexed", "unchanged"]

_TRIES = 8
_CHUNK = 500
"""Values in one `IN (...)`."""


class DocumentStore:
    """Documents by id, and vectors in the order of their commits."""

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        """Opens the store of a collection; `writable` creates it if needed, and locks it.

        Raises:
            StateError: The store does not exist, has another format, or another process is writing to it.
        """
        self.database = Database(folder, writable=writable)
        self.path = self.database.path

    def close(self) -> None:
        """Closes the file; the store can't be used afterwards."""
        self.database.close()

    def __enter__(self) -> DocumentStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing

    def put(self, items: Sequence[NewDocument]) -> list[Outcome]:
        """Commits documents in one transaction; a known id keeps its key and its vector.

        Returns:
            For each item, in order: `indexed` if its id is new, `unchanged` if it is known; `uri` and `tags` of a
            known document are still updated.

        Raises:
            StateError: The disk is full or failed; nothing was stored.
            InputError: Tags contain NaN or Infinity.
        """
        with self.database.writing() as connection:
            known = set(self._known_ids([item.document.id for item in items]))
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
            pairs = zip(items, outcomes, strict=True)
            describe(connection, (item.document for item, outcome in pairs if outcome == "unchanged"))
            connection.execute("UPDATE sequence SET last = ?", (seq,))
        return outcomes

    def describe(self, documents: Iterable[Document]) -> None:
        """Updates `uri` and `tags` of existing documents, in one transaction."""
        with self.database.writing() as connection:
            describe(connection, documents)

    def update(self, changes: Iterable[tuple[str, dict[str, Any]]]) -> list[bool]:
        """Changes tags in one transaction, each by a merge patch: None removes a name, other values are set.

        Args:
            changes: Ids with their patches.

        Returns:
            For each id, in order, whether the document exists.

        Source: RFC 7396 (JSON Merge Patch).
        """
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
        """Stores the encoded bytes of an existing picture that has none stored yet."""
        with self.database.writing() as connection:
            connection.execute("INSERT INTO pictures SELECT key, ? FROM documents WHERE id = ?", (content, image_id))

    def remove(self, ids: Iterable[str]) -> list[Document]:
        """Removes documents, and with a picture its captions, in one transaction.

        Returns:
            The removed documents; unknown ids are ignored.
        """
        removed: list[Document] = []
        with self.database.writing() as connection:
            seq = last_seq(connection)
            for chunk in _chunks(list(dict.fromkeys(ids))):
                marks = ",".join("?" * len(chunk))
                # The second `image_id` condition makes SQLite use its partial index, which excludes empty ones.
                rows = connection.execute(
                    f"SELECT key, {COLUMNS} FROM documents WHERE id IN ({marks}) UNION SELECT key, {COLUMNS} "
                    f"FROM documents WHERE image_id IN ({marks}) AND image_id <> '' ORDER BY key",
                    (*chunk, *chunk),
                ).fetchall()
                for key, *row in rows:
                    seq += 1
                    removed.append(document_of_row(row))
                    connection.execute("INSERT INTO removals VALUES (?, ?, ?)", (seq, key, removed[-1].modality))
                    connection.execute("DELETE FROM documents WHERE key = ?", (key,))
            connection.execute("UPDATE sequence SET last = ?", (seq,))
        return removed

    def compact(self) -> tuple[int, int]:
        """Returns the space of removed documents to the file system.

        An index that has not applied all removals yet starts over at its next refresh.

        Returns:
            Bytes on the disk before and after.
        """
        before = self.size_bytes()
        with self.database.writing() as connection:
            connection.execute("UPDATE sequence SET removals_from = last")
            connection.execute("DELETE FROM removals")
        self.database.give_back_space()
        return before, self.size_bytes()

    # -- reading

    def size_bytes(self) -> int:
        """Size on the disk, including the log."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(path.stat().st_size for path in files if path.exists())

    def data_version(self) -> tuple[int, int]:
        """Changes with every commit of any connection. Takes microseconds, so every query may call it."""
        return self.database.version()

    def store_id(self) -> str:
        """A unique name, assigned when the store was created."""
        return str(self.database.row("SELECT store_id FROM sequence")[0])

    def last_seq(self) -> int:
        """The sequence number of the newest commit, 0 in an empty store."""
        return int(self.database.row("SELECT last FROM sequence")[0])

    def counts(self) -> dict[Modality, int]:
        """The number of documents of each modality."""
        rows = dict(self.database.rows("SELECT modality, count(*) FROM documents GROUP BY modality"))
        return {modality: int(rows.get(modality, 0)) for modality in MODALITIES}

    def known(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents with these ids, without unknown ids."""
        result: dict[str, Document] = {}
        for chunk in _chunks(list(ids)):
            marks = ",".join("?" * len(chunk))
            for row in self.database.rows(f"SELECT {COLUMNS} FROM documents WHERE id IN ({marks})", chunk):
                result[row[0]] = document_of_row(row)
        return result

    def without_content(self, ids: Iterable[str]) -> list[str]:
        """The ids of those pictures that exist and whose encoded bytes are not stored."""
        result: list[str] = []
        for chunk in _chunks(list(ids)):
            marks = ",".join("?" * len(chunk))
            rows = self.database.rows(
                f"SELECT id FROM documents WHERE id IN ({marks}) AND key NOT IN (SELECT key FROM pictures)", chunk
            )
            result += [row[0] for row in rows]
        return result

    def _known_ids(self, ids: Sequence[str]) -> Iterator[str]:
        for chunk in _chunks(ids):
            marks = ",".join("?" * len(chunk))
            yield from (row[0] for row in self.database.rows(f"SELECT id FROM documents WHERE id IN ({marks})", chunk))

    def document(self, document_id: str) -> Document | None:
        """The document with this id, None if there is none."""
        return self.known([document_id]).get(document_id)

    def by_keys(self, keys: Iterable[int]) -> dict[int, Document]:
        """The documents with these keys, without unknown keys."""
        result: dict[int, Document] = {}
        for chunk in _chunks(list(keys)):
            marks = ",".join("?" * len(chunk))
            for key, *row in self.database.rows(f"SELECT key, {COLUMNS} FROM documents WHERE key IN ({marks})", chunk):
                result[key] = document_of_row(row)
        return result

    def captions_of(self, image_id: str) -> list[Document]:
        """The captions of a picture, in the order of their commits."""
        rows = self.database.rows(
            f"SELECT {COLUMNS} FROM documents WHERE image_id = ? AND image_id <> '' ORDER BY key", [image_id]
        )
        return [document_of_row(row) for row in rows]

    def caption_texts_of(self, image_ids: Iterable[str]) -> dict[str, list[str]]:
        """The texts of the captions of each picture that has some, in the order of their commits."""
        result: dict[str, list[str]] = {}
        for chunk in _chunks(list(image_ids)):
            marks = ",".join("?" * len(chunk))
            query = f"SELECT image_id, text FROM documents WHERE image_id IN ({marks}) AND image_id <> '' ORDER BY key"
            for image_id, text in self.database.rows(query, chunk):
                result.setdefault(image_id, []).append(text)
        return result

    def captions_by_keys(self, keys: Iterable[int]) -> list[tuple[int, str, int | None]]:
        """The captions of pictures among these keys, rising: key, text, and the key of the picture.

        The key of the picture is None if it is not in the store (yet).
        """
        result: list[tuple[int, str, int | None]] = []
        for chunk in _chunks(sorted(keys)):
            marks = ",".join("?" * len(chunk))
            result += self.database.rows(
                "SELECT c.key, c.text, p.key FROM documents c LEFT JOIN documents p "
                "ON p.id = c.image_id AND p.modality = 'image' "
                f"WHERE c.key IN ({marks}) AND c.modality = 'text' AND c.image_id <> '' ORDER BY c.key",
                chunk,
            )
        return result

    def random_captions(self, n: int) -> list[Document]:
        """At most n random captions of different pictures, at a cost that does not grow with the store."""
        first, last = self.database.row("SELECT min(seq), max(seq) FROM documents WHERE modality = 'text'")
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
        """The ids of the documents for which a condition is true, in the order of their commits."""
        sql, values = sqlite_sql(condition)
        rows = self.database.rows(f"SELECT id FROM documents WHERE {sql} ORDER BY key", values)
        return [row[0] for row in rows]

    def keys_where(self, condition: Condition, modality: Modality) -> Keys:
        """The keys (n,) of the documents of a modality for which a condition is true, rising."""
        sql, values = sqlite_sql(condition)
        rows = self.database.rows(
            f"SELECT key FROM documents WHERE modality = ? AND {sql} ORDER BY key", [modality, *values]
        )
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def keys(self, modality: Modality) -> Keys:
        """All keys (n,) of a modality, rising."""
        rows = self.database.rows("SELECT key FROM documents WHERE modality = ? ORDER BY key", [modality])
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def changes_after(
        self, modality: Modality, seq: int, limit: int = 10_000, *, forgotten: int = 0, with_vectors: bool = True
    ) -> StoreChanges | None:
        """The documents that were added and removed after `seq`, oldest first.

        A document that was added and removed in between is in neither list, or in `removed` only.

        Args:
            modality: The modality of the documents.
            seq: The last known sequence number; 0 for none.
            limit: The largest number of added documents to return.
            forgotten: `forgotten` of the previous result when a caller continues: removals that were dropped before
                it started are of documents that it never received.
            with_vectors: Whether to read the vectors; otherwise they are empty.

        Returns:
            The changes; None if removals since `seq` are no longer recorded, so that the caller must start at 0.
        """
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
        keys = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        vectors = np.frombuffer(b"".join(row[2] for row in rows), "<f4")
        vectors = vectors.reshape(len(rows), -1) if rows else np.empty((0, 0), np.float32)
        removed = np.fromiter((row[0] for row in gone), np.int64, len(gone))
        return StoreChanges(keys, vectors.astype(np.float32, copy=False), removed, until, is_all, int(forgotten_now))

    def vectors_of(self, ids: Iterable[str]) -> dict[str, Vectors]:
        """The vectors (dim,) of these ids, without unknown ids."""
        result: dict[str, Vectors] = {}
        for chunk in _chunks(list(ids)):
            marks = ",".join("?" * len(chunk))
            query = f"SELECT id, vector FROM documents JOIN vectors USING (key) WHERE id IN ({marks})"
            result.update((name, np.frombuffer(vector, "<f4")) for name, vector in self.database.rows(query, chunk))
        return result

    def caption_vectors_of(self, image_ids: Iterable[str]) -> dict[str, Vectors]:
        """The vectors (m, dim) of each picture's captions, without pictures that have none."""
        blobs: dict[str, list[bytes]] = {}
        for chunk in _chunks(list(image_ids)):
            marks = ",".join("?" * len(chunk))
            query = (
                "SELECT image_id, vector FROM documents JOIN vectors USING (key) "
                f"WHERE image_id IN ({marks}) AND image_id <> '' AND modality = 'text' ORDER BY key"
            )
            for image_id, vector in self.database.rows(query, chunk):
                blobs.setdefault(image_id, []).append(vector)
        return {name: np.frombuffer(b"".join(parts), "<f4").reshape(len(parts), -1) for name, parts in blobs.items()}

    def everything(self, after_key: int, limit: int) -> list[tuple[int, NewDocument]]:
        """At most `limit` documents with keys above `after_key`, rising, with all their stored data."""
        rows = self.database.rows(
            f"SELECT key, vector, jpeg, content, {COLUMNS} FROM documents JOIN vectors USING (key) "
            "LEFT JOIN thumbnails USING (key) LEFT JOIN pictures USING (key) WHERE key > ? ORDER BY key LIMIT ?",
            [after_key, limit],
        )
        return [
            (key, NewDocument(document_of_row(row), np.frombuffer(vector, "<f4"), jpeg, content))
            for key, vector, jpeg, content, *row in rows
        ]

    def thumbnail(self, image_id: str) -> bytes | None:
        """The JPEG thumbnail of a picture, None if the picture does not exist."""
        return self._blob("SELECT jpeg FROM thumbnails JOIN documents USING (key) WHERE id = ?", image_id)

    def content(self, image_id: str) -> bytes | None:
        """The encoded bytes of a picture; None if they are not stored, in which case `uri` is its file."""
        return self._blob("SELECT content FROM pictures JOIN documents USING (key) WHERE id = ?", image_id)

    def _blob(self, query: str, image_id: str) -> bytes | None:
        rows = self.database.rows(query, [image_id])
        return bytes(rows[0][0]) if rows else None


def _chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[i : i + _CHUNK] for i in range(0, len(values), _CHUNK))
