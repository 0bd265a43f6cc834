"""The store: documents, vectors, thumbnails in one SQLite file. It is the truth; an index is a cache.

One process writes, any number read while it does (WAL). What `put`, `update` or `remove` returned is on the disk.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from crossmodal.core.errors import InputError
from crossmodal.core.types import MODALITIES, Document, Keys, Modality, Vectors
from crossmodal.store.database import Database
from crossmodal.store.where import Condition

T = TypeVar("T")
Outcome = Literal["indexed", "unchanged"]

_COLUMNS = "id, modality, uri, mime_type, text, width, height, image_id, tags"
_TO_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, allow_nan=False)
_TRIES = 8
_CHUNK = 500
"""How many values go into one `IN (...)`."""


@dataclass(frozen=True)
class NewDocument:
    """A document with what is kept beside it: its unit vector, and for pictures a thumbnail and, where
    there is no file, the encoded picture.
    """

    document: Document
    vector: Vectors  # (dim,)
    thumbnail: bytes | None = None
    content: bytes | None = None


@dataclass(frozen=True)
class StoreChanges:
    """What happened to the vectors of a modality between two sequence numbers."""

    added: Keys  # (n,), rising
    vectors: Vectors  # (n, dim)
    removed: Keys  # (m,)
    last_seq: int
    is_all: bool
    forgotten: int  # removals up to this sequence number may be forgotten


class DocumentStore:
    """Documents by id, and vectors in the order they were committed."""

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        """Opens the store of a collection; `writable` makes it where there is none, and locks it.

        Raises:
            StateError: Nothing to read there, a file of another format, or another process writes to it.
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
        """Commits documents in one transaction; an id that is there keeps its key, vector and place.

        Returns:
            For each item, in order: `indexed` where it is new, `unchanged` where its id was known. What
            is said about a known document (uri, tags) is brought up to date all the same.

        Raises:
            StateError: The disk is full or failed; nothing of the request is in the store.
            InputError: Tags with a number that is none.
        """
        with self.database.writing() as connection:
            known = set(self._known_ids([item.document.id for item in items]))
            seq, key = _last_seq(connection), _last_key(connection)
            outcomes: list[Outcome] = []
            new: list[tuple[int, int, NewDocument]] = []
            for item in items:
                outcomes.append("unchanged" if item.document.id in known else "indexed")
                if item.document.id not in known:
                    known.add(item.document.id)
                    seq, key = seq + 1, key + 1
                    new.append((key, seq, item))
            _insert(connection, new)
            told = zip(items, outcomes, strict=True)
            _describe(connection, (item.document for item, outcome in told if outcome == "unchanged"))
            connection.execute("UPDATE sequence SET last = ?", (seq,))
        return outcomes

    def describe(self, documents: Iterable[Document]) -> None:
        """Brings `uri` and `tags` of documents that are there up to date, in one transaction."""
        with self.database.writing() as connection:
            _describe(connection, documents)

    def update(self, changes: Iterable[tuple[str, dict[str, Any]]]) -> list[bool]:
        """Changes tags in one transaction, each by a merge patch: a name with None is taken away, others are set.

        Args:
            changes: Ids, each with its patch.

        Returns:
            For each, in order, whether there is a document of that id.

        Source: RFC 7396 (JSON Merge Patch).
        """
        found = []
        with self.database.writing() as connection:
            for document_id, patch in changes:
                row = connection.execute("SELECT tags FROM documents WHERE id = ?", (document_id,)).fetchone()
                found.append(row is not None)
                if row is not None:
                    tags = _json(merged(json.loads(row[0]), patch))
                    connection.execute("UPDATE documents SET tags = ? WHERE id = ?", (tags, document_id))
        return found

    def add_content(self, image_id: str, content: bytes) -> None:
        """Keeps the encoded bytes of a picture that is there and whose bytes were not kept."""
        with self.database.writing() as connection:
            connection.execute("INSERT INTO pictures SELECT key, ? FROM documents WHERE id = ?", (content, image_id))

    def remove(self, ids: Iterable[str]) -> list[Document]:
        """Removes documents, and with a picture its captions, in one transaction.

        Returns:
            What was removed; ids that are not there are passed over.
        """
        removed: list[Document] = []
        with self.database.writing() as connection:
            seq = _last_seq(connection)
            for chunk in _chunks(list(dict.fromkeys(ids))):
                marks = ",".join("?" * len(chunk))
                # The second `image_id` lets SQLite see that its index, which leaves the empty ones out, will do.
                rows = connection.execute(
                    f"SELECT key, {_COLUMNS} FROM documents WHERE id IN ({marks}) UNION SELECT key, {_COLUMNS} "
                    f"FROM documents WHERE image_id IN ({marks}) AND image_id <> '' ORDER BY key",
                    (*chunk, *chunk),
                ).fetchall()
                for key, *row in rows:
                    seq += 1
                    removed.append(_to_document(row))
                    connection.execute("INSERT INTO removals VALUES (?, ?, ?)", (seq, key, removed[-1].modality))
                    connection.execute("DELETE FROM documents WHERE key = ?", (key,))
            connection.execute("UPDATE sequence SET last = ?", (seq,))
        return removed

    def compact(self) -> tuple[int, int]:
        """Gives the space of removed documents back to the disk.

        An index that has not heard of all removals until now starts over when it is refreshed.

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
        """What the store takes on the disk, its log included."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(path.stat().st_size for path in files if path.exists())

    def data_version(self) -> tuple[int, int]:
        """Changes with every commit, of this and of other connections; microseconds, so every query can ask."""
        return self.database.version()

    def store_id(self) -> str:
        """A name no other store has, given when it was made."""
        return str(self.database.row("SELECT store_id FROM sequence")[0])

    def last_seq(self) -> int:
        """The sequence number of the newest commit, 0 in an empty store."""
        return int(self.database.row("SELECT last FROM sequence")[0])

    def counts(self) -> dict[Modality, int]:
        """How many documents there are of each modality."""
        rows = dict(self.database.rows("SELECT modality, count(*) FROM documents GROUP BY modality"))
        return {modality: int(rows.get(modality, 0)) for modality in MODALITIES}

    def known(self, ids: Iterable[str]) -> dict[str, Document]:
        """Those of the ids that are there, with their documents."""
        found: dict[str, Document] = {}
        for chunk in _chunks(list(ids)):
            marks = ",".join("?" * len(chunk))
            for row in self.database.rows(f"SELECT {_COLUMNS} FROM documents WHERE id IN ({marks})", chunk):
                found[row[0]] = _to_document(row)
        return found

    def without_content(self, ids: Iterable[str]) -> list[str]:
        """The ids of these pictures that are there, and whose encoded bytes the store does not keep."""
        found: list[str] = []
        for chunk in _chunks(list(ids)):
            marks = ",".join("?" * len(chunk))
            rows = self.database.rows(
                f"SELECT id FROM documents WHERE id IN ({marks}) AND key NOT IN (SELECT key FROM pictures)", chunk
            )
            found += [row[0] for row in rows]
        return found

    def _known_ids(self, ids: Sequence[str]) -> Iterator[str]:
        for chunk in _chunks(ids):
            marks = ",".join("?" * len(chunk))
            yield from (row[0] for row in self.database.rows(f"SELECT id FROM documents WHERE id IN ({marks})", chunk))

    def document(self, document_id: str) -> Document | None:
        """The document of that id, or None."""
        return self.known([document_id]).get(document_id)

    def by_keys(self, keys: Iterable[int]) -> dict[int, Document]:
        """The documents of these keys; a key that is not there is not in the result."""
        found: dict[int, Document] = {}
        for chunk in _chunks(list(keys)):
            marks = ",".join("?" * len(chunk))
            for key, *row in self.database.rows(f"SELECT key, {_COLUMNS} FROM documents WHERE key IN ({marks})", chunk):
                found[key] = _to_document(row)
        return found

    def captions_of(self, image_id: str) -> list[Document]:
        """The captions of a picture, in the order they were committed."""
        rows = self.database.rows(
            f"SELECT {_COLUMNS} FROM documents WHERE image_id = ? AND image_id <> '' ORDER BY key", [image_id]
        )
        return [_to_document(row) for row in rows]

    def captions_by_keys(self, keys: Iterable[int]) -> list[tuple[int, str, int | None]]:
        """Those of these keys that are captions of a picture, rising: key, text, and the key of the picture.

        None stands for a picture that is not there (yet).
        """
        found: list[tuple[int, str, int | None]] = []
        for chunk in _chunks(sorted(keys)):
            marks = ",".join("?" * len(chunk))
            found += self.database.rows(
                "SELECT c.key, c.text, p.key FROM documents c LEFT JOIN documents p "
                "ON p.id = c.image_id AND p.modality = 'image' "
                f"WHERE c.key IN ({marks}) AND c.modality = 'text' AND c.image_id <> '' ORDER BY c.key",
                chunk,
            )
        return found

    def random_captions(self, n: int) -> list[Document]:
        """At most n captions of different pictures, drawn at random; several tries a caption, whatever the size."""
        first, last = self.database.row("SELECT min(seq), max(seq) FROM documents WHERE modality = 'text'")
        found: dict[str, Document] = {}
        for _ in range(_TRIES * n if last is not None else 0):
            rows = self.database.rows(
                f"SELECT {_COLUMNS} FROM documents WHERE modality = 'text' AND seq >= ? ORDER BY seq LIMIT 1",
                [random.randint(first, last)],
            )
            for caption in map(_to_document, rows):
                if caption.image_id:
                    found.setdefault(caption.image_id, caption)
            if len(found) == n:
                break
        return list(found.values())

    def ids_where(self, condition: Condition) -> list[str]:
        """The ids of the documents a condition is true of, in the order they were committed."""
        rows = self.database.rows(f"SELECT id FROM documents WHERE {condition.sql} ORDER BY key", condition.values)
        return [row[0] for row in rows]

    def keys_where(self, condition: Condition, modality: Modality) -> Keys:
        """The keys (n,) of the documents of a modality that a condition is true of, rising."""
        rows = self.database.rows(
            f"SELECT key FROM documents WHERE modality = ? AND ({condition.sql}) ORDER BY key",
            [modality, *condition.values],
        )
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def keys(self, modality: Modality) -> Keys:
        """All keys (n,) of a modality, rising."""
        rows = self.database.rows("SELECT key FROM documents WHERE modality = ? ORDER BY key", [modality])
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def changes_after(
        self, modality: Modality, seq: int, limit: int = 10_000, *, forgotten: int = 0, with_vectors: bool = True
    ) -> StoreChanges | None:
        """What came and went after `seq`, oldest first, at most `limit` new vectors.

        A document that came and went in between is in neither list, or in `removed` only.

        Args:
            modality: Of which documents.
            seq: The last sequence number that is known; 0 for none.
            limit: The most vectors to return.
            forgotten: That of the answer before, for one who asks on: who began after removals were forgotten never
                saw what was removed, and misses nothing.
            with_vectors: Whether the vectors are read; else they have no numbers.

        Returns:
            None where some removals since `seq` are forgotten: whoever asks has to start over from 0.
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
        """The vectors (dim,) of those of the ids that are there."""
        found: dict[str, Vectors] = {}
        for chunk in _chunks(list(ids)):
            marks = ",".join("?" * len(chunk))
            query = f"SELECT id, vector FROM documents JOIN vectors USING (key) WHERE id IN ({marks})"
            found.update((own, np.frombuffer(vector, "<f4")) for own, vector in self.database.rows(query, chunk))
        return found

    def caption_vectors_of(self, image_ids: Iterable[str]) -> dict[str, Vectors]:
        """The vectors (m, dim) of the captions of those of the pictures that have some."""
        found: dict[str, list[bytes]] = {}
        for chunk in _chunks(list(image_ids)):
            marks = ",".join("?" * len(chunk))
            query = (
                "SELECT image_id, vector FROM documents JOIN vectors USING (key) "
                f"WHERE image_id IN ({marks}) AND image_id <> '' AND modality = 'text' ORDER BY key"
            )
            for own, vector in self.database.rows(query, chunk):
                found.setdefault(own, []).append(vector)
        return {
            own: np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1) for own, vectors in found.items()
        }

    def everything(self, after_key: int, limit: int) -> list[tuple[int, NewDocument]]:
        """Documents with all that is kept of them, keys above `after_key`, rising, at most `limit`."""
        rows = self.database.rows(
            f"SELECT key, vector, jpeg, content, {_COLUMNS} FROM documents JOIN vectors USING (key) "
            "LEFT JOIN thumbnails USING (key) LEFT JOIN pictures USING (key) WHERE key > ? ORDER BY key LIMIT ?",
            [after_key, limit],
        )
        return [
            (key, NewDocument(_to_document(row), np.frombuffer(vector, "<f4"), jpeg, content))
            for key, vector, jpeg, content, *row in rows
        ]

    def thumbnail(self, image_id: str) -> bytes | None:
        """The JPEG thumbnail of a picture, or None where there is no such picture."""
        return self._blob("SELECT jpeg FROM thumbnails JOIN documents USING (key) WHERE id = ?", image_id)

    def content(self, image_id: str) -> bytes | None:
        """The encoded picture where the store keeps it itself, else None: then `uri` is its file."""
        return self._blob("SELECT content FROM pictures JOIN documents USING (key) WHERE id = ?", image_id)

    def _blob(self, query: str, image_id: str) -> bytes | None:
        rows = self.database.rows(query, [image_id])
        return bytes(rows[0][0]) if rows else None


def merged(tags: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The tags after a merge patch.

    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'b': {'c': 4, 'd': 3}}
    """
    result = dict(tags)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            before = result.get(name)
            result[name] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[name] = value
    return result


def _insert(connection: sqlite3.Connection, new: Sequence[tuple[int, int, NewDocument]]) -> None:
    connection.executemany(
        f"INSERT INTO documents (key, seq, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((key, seq, *_to_row(item.document)) for key, seq, item in new),
    )
    connection.executemany(
        "INSERT INTO vectors VALUES (?, ?)",
        ((key, np.ascontiguousarray(item.vector, dtype="<f4").tobytes()) for key, _, item in new),
    )
    for table, field in (("thumbnails", "thumbnail"), ("pictures", "content")):
        kept = ((key, getattr(item, field)) for key, _, item in new if getattr(item, field) is not None)
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", kept)


def _describe(connection: sqlite3.Connection, documents: Iterable[Document]) -> None:
    connection.executemany(
        "UPDATE documents SET uri = ?1, tags = ?2 WHERE id = ?3 AND (uri <> ?1 OR tags <> ?2)",
        ((document.uri, _json(document.tags), document.id) for document in documents),
    )


def _last_seq(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT last FROM sequence").fetchone()[0])


def _last_key(connection: sqlite3.Connection) -> int:
    """The highest key that was ever given; SQLite keeps it over removals."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'documents'").fetchone()
    return 0 if row is None else int(row[0])


def _json(tags: dict[str, Any]) -> str:
    try:
        return _TO_JSON.encode(tags)
    except ValueError as error:
        raise InputError(f"tags {tags}: not a number and infinity are no JSON") from error


def _to_row(d: Document) -> tuple[object, ...]:
    return (d.id, d.modality, d.uri, d.mime_type, d.text, d.width, d.height, d.image_id, _json(d.tags))


def _to_document(row: Sequence[Any]) -> Document:
    document_id, modality, uri, mime_type, text, width, height, image_id, tags = row
    return Document(document_id, modality, uri, mime_type, text, width, height, image_id, json.loads(tags))


def _chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[i : i + _CHUNK] for i in range(0, len(values), _CHUNK))
