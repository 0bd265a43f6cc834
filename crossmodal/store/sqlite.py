"""The store: documents, vectors, thumbnails in one SQLite file. It is the truth; an index is a cache.

One process writes, any number read while it does (WAL). What `put` returned is on the disk.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from crossmodal.core.errors import StateError
from crossmodal.core.types import MODALITIES, Document, Keys, Modality, Vectors

FILE_NAME = "documents.sqlite"
Outcome = Literal["indexed", "unchanged"]

_COLUMNS = "id, modality, uri, mime_type, text, width, height, image_id, tags"


@dataclass(frozen=True)
class NewDocument:
    """A document with what is kept beside it: its unit vector, and for pictures a thumbnail and, where
    there is no file, the encoded picture.
    """

    document: Document
    vector: Vectors  # (dim,)
    thumbnail: bytes | None = None
    content: bytes | None = None


class DocumentStore:
    """Documents by id, and vectors in the order they were committed."""

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        """Opens the store of a collection; `writable` makes it where there is none.

        Raises:
            StateError: Nothing to read there, or a file of a newer format.
        """
        self.path = folder / FILE_NAME
        if not writable and not self.path.exists():
            raise StateError(f"no index in {folder}: run `python app.py -t index` first")
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=30.0)
        try:
            self._prepare(writable)
        except sqlite3.DatabaseError as error:
            self.close()
            raise StateError(f"{self.path} is damaged or no store ({error}): move it away and index again") from error
        except StateError:
            self.close()
            raise

    def _prepare(self, writable: bool) -> None:
        self._connection.execute("PRAGMA foreign_keys = ON")
        if writable:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._migrate()
        else:
            self._connection.execute("PRAGMA query_only = ON")
        self._check_version()

    def close(self) -> None:
        """Closes the file; the store can't be used afterwards."""
        self._connection.close()

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
        """
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            (seq,) = self._connection.execute("SELECT last FROM sequence").fetchone()
            outcomes: list[Outcome] = []
            for item in items:
                key = self._insert(item.document, seq + 1)
                if key is None:
                    self._update(item.document)
                    outcomes.append("unchanged")
                    continue
                seq += 1
                vector = np.ascontiguousarray(item.vector, dtype="<f4").tobytes()
                self._connection.execute("INSERT INTO vectors VALUES (?, ?)", (key, vector))
                if item.thumbnail is not None:
                    self._connection.execute("INSERT INTO thumbnails VALUES (?, ?)", (key, item.thumbnail))
                if item.content is not None:
                    self._connection.execute("INSERT INTO pictures VALUES (?, ?)", (key, item.content))
                outcomes.append("indexed")
            self._connection.execute("UPDATE sequence SET last = ?", (seq,))
        return outcomes

    def _insert(self, document: Document, seq: int) -> int | None:
        row = self._connection.execute(
            f"INSERT INTO documents ({_COLUMNS}, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO NOTHING RETURNING key",
            (*_to_row(document), seq),
        ).fetchone()
        return None if row is None else int(row[0])

    def _update(self, document: Document) -> None:
        tags = json.dumps(document.tags, ensure_ascii=False, sort_keys=True)
        self._connection.execute(
            "UPDATE documents SET uri = ?, tags = ? WHERE id = ? AND (uri <> ? OR tags <> ?)",
            (document.uri, tags, document.id, document.uri, tags),
        )

    # -- reading

    def data_version(self) -> int:
        """Changes whenever another connection commits; microseconds, so it can be asked at every query."""
        return int(self._one("PRAGMA data_version")[0])

    def store_id(self) -> str:
        """A name no other store has, given when it was made."""
        return str(self._one("SELECT store_id FROM sequence")[0])

    def last_seq(self) -> int:
        """The sequence number of the newest commit, 0 in an empty store."""
        return int(self._one("SELECT last FROM sequence")[0])

    def counts(self) -> dict[Modality, int]:
        """How many documents there are of each modality."""
        rows = dict(self._all("SELECT modality, count(*) FROM documents GROUP BY modality"))
        return {modality: int(rows.get(modality, 0)) for modality in MODALITIES}

    def known(self, ids: Iterable[str]) -> dict[str, Document]:
        """Those of the ids that are there, with their documents."""
        found: dict[str, Document] = {}
        for chunk in _chunks(list(ids), 500):
            marks = ",".join("?" * len(chunk))
            for row in self._all(f"SELECT {_COLUMNS} FROM documents WHERE id IN ({marks})", chunk):
                found[row[0]] = _to_document(row)
        return found

    def document(self, document_id: str) -> Document | None:
        """The document of that id, or None."""
        return self.known([document_id]).get(document_id)

    def by_keys(self, keys: Iterable[int]) -> dict[int, Document]:
        """The documents of these keys; a key that is not there is not in the result."""
        found: dict[int, Document] = {}
        for chunk in _chunks(list(keys), 500):
            marks = ",".join("?" * len(chunk))
            for key, *row in self._all(f"SELECT key, {_COLUMNS} FROM documents WHERE key IN ({marks})", chunk):
                found[key] = _to_document(row)
        return found

    def captions_of(self, image_id: str) -> list[Document]:
        """The captions of a picture, in the order they were committed."""
        rows = self._all(f"SELECT {_COLUMNS} FROM documents WHERE image_id = ? ORDER BY key", [image_id])
        return [_to_document(row) for row in rows]

    def vectors_after(self, modality: Modality, seq: int, limit: int = 10_000) -> tuple[Keys, Vectors, int]:
        """The vectors committed after `seq`, oldest first, at most `limit`.

        Returns:
            Keys (n,), vectors (n, dim), and the sequence number of the last; `seq` itself where n is 0.
        """
        rows = self._all(
            "SELECT d.key, d.seq, v.vector FROM documents d JOIN vectors v USING (key) "
            "WHERE d.modality = ? AND d.seq > ? ORDER BY d.seq LIMIT ?",
            [modality, seq, limit],
        )
        if not rows:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32), seq
        keys = np.array([row[0] for row in rows], np.int64)
        vectors = np.frombuffer(b"".join(row[2] for row in rows), "<f4").reshape(len(rows), -1)
        return keys, vectors.astype(np.float32, copy=False), int(rows[-1][1])

    def thumbnail(self, image_id: str) -> bytes | None:
        """The JPEG thumbnail of a picture, or None where there is no such picture."""
        return self._blob("SELECT jpeg FROM thumbnails JOIN documents USING (key) WHERE id = ?", image_id)

    def content(self, image_id: str) -> bytes | None:
        """The encoded picture where the store keeps it itself, else None: then `uri` is its file."""
        return self._blob("SELECT content FROM pictures JOIN documents USING (key) WHERE id = ?", image_id)

    # -- inside

    def _blob(self, query: str, image_id: str) -> bytes | None:
        rows = self._all(query, [image_id])
        return bytes(rows[0][0]) if rows else None

    def _one(self, query: str) -> tuple[Any, ...]:
        return self._all(query)[0]

    def _all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock, closing(self._connection.execute(query, tuple(values))) as cursor:
            return cursor.fetchall()

    def _migrate(self) -> None:
        with self._lock:
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            for number, script in _migrations():
                if number > version:
                    self._connection.executescript(
                        f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;"
                    )

    def _check_version(self) -> None:
        newest = _migrations()[-1][0]
        version = int(self._one("PRAGMA user_version")[0])
        if version != newest:
            raise StateError(
                f"{self.path} has format {version}, this program reads format {newest}: "
                + ("update the program" if version > newest else "run `python app.py -t index` once")
            )


def _migrations() -> list[tuple[int, str]]:
    """The numbered scripts, in order; each brings a store from the number before to its own."""
    folder = resources.files("crossmodal.store") / "migrations"
    scripts = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(int(script.name[:4]), script.read_text("utf8")) for script in scripts]


def _to_row(d: Document) -> tuple[object, ...]:
    tags = json.dumps(d.tags, ensure_ascii=False, sort_keys=True)
    return (d.id, d.modality, d.uri, d.mime_type, d.text, d.width, d.height, d.image_id, tags)


def _to_document(row: Sequence[Any]) -> Document:
    document_id, modality, uri, mime_type, text, width, height, image_id, tags = row
    return Document(document_id, modality, uri, mime_type, text, width, height, image_id, json.loads(tags))


def _chunks(values: list[int] | list[str], size: int) -> Iterable[list[int] | list[str]]:
    return (values[i : i + size] for i in range(0, len(values), size))
