"""Documents as rows of a PostgreSQL store."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from psycopg.types.json import Jsonb

from crossmodal.core.errors import InputError
from crossmodal.core.types import Document
from crossmodal.store.pgvector import insert_vectors
from crossmodal.store.postgresql_connection import Connection
from crossmodal.store.postgresql_server import copy_rows
from crossmodal.store.records import NewDocument, tags_json

COLUMNS = "id, modality, uri, mime_type, text, width, height, image_id, tags"
"""The columns of a document, in the order of its attributes."""
_TYPES = ["int8", "int8", "text", "text", "text", "text", "text", "int8", "int8", "text", "jsonb"]
_NUL_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def insert(connection: Connection, new: Sequence[tuple[int, int, NewDocument]]) -> None:
    """Inserts documents with their keys, sequence numbers, vectors, thumbnails and encoded pictures."""
    rows = ((key, seq, *_row(item.document)) for key, seq, item in new)
    is_json = ((*columns, Jsonb(tags, dumps=str)) for *columns, tags in rows)
    copy_rows(connection, f"documents (key, seq, {COLUMNS})", _TYPES, is_json)
    blobs = {
        "vectors": ((key, np.ascontiguousarray(item.vector, dtype="<f4").tobytes()) for key, _, item in new),
        "thumbnails": ((key, item.thumbnail) for key, _, item in new if item.thumbnail is not None),
        "pictures": ((key, item.content) for key, _, item in new if item.content is not None),
    }
    for table, rows in blobs.items():
        copy_rows(connection, table, ["int8", "bytea"], rows)
    if new:
        insert_vectors(connection, ((key, item.document.modality, item.vector) for key, _, item in new))


def describe(connection: Connection, documents: Iterable[Document]) -> None:
    """Updates `uri` and `tags` of existing documents; of several with one id, the last counts."""
    by_id = {document.id: document for document in documents}
    rows = [_row(document) for document in by_id.values()]
    connection.execute(
        "UPDATE documents SET uri = new.uri, tags = new.tags::jsonb "
        "FROM unnest(%s::text[], %s::text[], %s::text[]) AS new (id, uri, tags) "
        "WHERE documents.id = new.id AND (documents.uri <> new.uri OR documents.tags <> new.tags::jsonb)",
        [[row[0] for row in rows], [row[2] for row in rows], [row[-1] for row in rows]],
    )


def _row(d: Document) -> tuple[object, ...]:
    """The columns of a document.

    Raises:
        InputError: Tags contain NaN or Infinity; a text contains U+0000.
    """
    texts = (d.id, d.modality, d.uri, d.mime_type, d.text)
    if any("\0" in text for text in (*texts, d.image_id)):
        raise InputError(f"{d.id}: PostgreSQL can't store the character U+0000: remove it")
    return (*texts, d.width, d.height, d.image_id, checked_tags_json(d.id, d.tags))


def checked_tags_json(document_id: str, tags: dict[str, Any]) -> str:
    """The JSON text of a document's tags.

    Raises:
        InputError: They contain NaN, Infinity or U+0000.
    """
    json = tags_json(tags)
    if _NUL_IN_JSON.search(json):
        raise InputError(f"{document_id}: PostgreSQL can't store the character U+0000: remove it from the tags")
    return json
