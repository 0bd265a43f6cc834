"""The records of a store and their rows in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossmodal.core.errors import InputError
from crossmodal.core.types import Document, Keys, Vectors

COLUMNS = "id, modality, uri, mime_type, text, width, height, image_id, tags"
"""The columns of a document, in the order that `document_of_row` reads."""

_TO_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, allow_nan=False)


@dataclass(frozen=True)
class NewDocument:
    """A document with its unit vector, and for a picture its thumbnail and, if it has no file, its encoded bytes."""

    document: Document
    vector: Vectors  # (dim,)
    thumbnail: bytes | None = None
    content: bytes | None = None


@dataclass(frozen=True)
class StoreChanges:
    """The documents of a modality that were added and removed between two sequence numbers."""

    added: Keys  # (n,), rising
    vectors: Vectors  # (n, dim)
    removed: Keys  # (m,)
    last_seq: int
    is_all: bool
    forgotten: int  # removals up to this sequence number may no longer be recorded


def merged(tags: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The tags with a merge patch (RFC 7396) applied.

    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'b': {'c': 4, 'd': 3}}
    """
    result = dict(tags)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            result[name] = merged(old if isinstance(old, dict) else {}, value)
        else:
            result[name] = value
    return result


def insert(connection: sqlite3.Connection, new: Sequence[tuple[int, int, NewDocument]]) -> None:
    """Inserts documents with their keys, sequence numbers, vectors, thumbnails and encoded pictures."""
    connection.executemany(
        f"INSERT INTO documents (key, seq, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((key, seq, *_to_row(item.document)) for key, seq, item in new),
    )
    connection.executemany(
        "INSERT INTO vectors VALUES (?, ?)",
        ((key, np.ascontiguousarray(item.vector, dtype="<f4").tobytes()) for key, _, item in new),
    )
    for table, field in (("thumbnails", "thumbnail"), ("pictures", "content")):
        blobs = ((key, getattr(item, field)) for key, _, item in new if getattr(item, field) is not None)
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", blobs)


def describe(connection: sqlite3.Connection, documents: Iterable[Document]) -> None:
    """Updates `uri` and `tags` of existing documents."""
    connection.executemany(
        "UPDATE documents SET uri = ?1, tags = ?2 WHERE id = ?3 AND (uri <> ?1 OR tags <> ?2)",
        ((document.uri, tags_json(document.tags), document.id) for document in documents),
    )


def last_seq(connection: sqlite3.Connection) -> int:
    """The sequence number of the newest commit."""
    return int(connection.execute("SELECT last FROM sequence").fetchone()[0])


def last_key(connection: sqlite3.Connection) -> int:
    """The highest key that was ever assigned; SQLite keeps it after removals."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'documents'").fetchone()
    return 0 if row is None else int(row[0])


def tags_json(tags: dict[str, Any]) -> str:
    """The JSON text of tags in the store.

    Raises:
        InputError: A number is NaN or infinite.
    """
    try:
        return _TO_JSON.encode(tags)
    except ValueError as error:
        raise InputError(f"tags must not contain NaN or Infinity, found {tags}") from error


def _to_row(d: Document) -> tuple[object, ...]:
    return (d.id, d.modality, d.uri, d.mime_type, d.text, d.width, d.height, d.image_id, tags_json(d.tags))


def document_of_row(row: Sequence[Any]) -> Document:
    """The document of a row with the columns `COLUMNS`."""
    document_id, modality, uri, mime_type, text, width, height, image_id, tags = row
    return Document(document_id, modality, uri, mime_type, text, width, height, image_id, json.loads(tags))
