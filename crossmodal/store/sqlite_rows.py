"""Documents as rows of a SQLite store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from crossmodal.core.types import Document
from crossmodal.store.records import NewDocument, tags_json

COLUMNS = "id, modality, uri, mime_type, text, width, height, image_id, tags"
"""The columns of a document, in the order that `document_of_row` reads."""


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


def _to_row(d: Document) -> tuple[object, ...]:
    return (d.id, d.modality, d.uri, d.mime_type, d.text, d.width, d.height, d.image_id, tags_json(d.tags))


def document_of_row(row: Sequence[Any]) -> Document:
    """The document of a row with the columns `COLUMNS`."""
    document_id, modality, uri, mime_type, text, width, height, image_id, tags = row
    return Document(document_id, modality, uri, mime_type, text, width, height, image_id, json.loads(tags))
