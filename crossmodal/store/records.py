"""The records that a store takes and gives."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from crossmodal.core.errors import InputError
from crossmodal.core.reading import Reading
from crossmodal.core.types import Document, Keys, Vectors

T = TypeVar("T")
_TO_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, allow_nan=False)


@dataclass(frozen=True)
class NewDocument:
    """A document with its unit vector, and for a picture its thumbnail and, if it has no file, its encoded bytes.

    `reading` is the text in a picture; None if it was not read.
    """

    document: Document
    vector: Vectors  # (dim,)
    thumbnail: bytes | None = None
    content: bytes | None = None
    reading: Reading | None = None


@dataclass(frozen=True)
class StoreChanges:
    """The documents of a modality that were added and removed between two sequence numbers."""

    added: Keys  # (n,), rising
    vectors: Vectors  # (n, dim)
    removed: Keys  # (m,)
    last_seq: int
    is_all: bool
    forgotten: int  # removals up to this sequence number may no longer be recorded
    epoch: int = 0  # raised when commits may have been lost

    @classmethod
    def of_rows(
        cls,
        added: Sequence[tuple[int, int, bytes]],
        removed: Sequence[tuple[int]],
        last_seq: int,
        is_all: bool,
        forgotten: int,
        epoch: int = 0,
    ) -> StoreChanges:
        """The changes in rows of a store.

        A row of `added` is the key, the sequence number and the vector (little-endian float32) of a document; the
        vectors of all rows may be empty. A row of `removed` is a key. The other arguments are the attributes.
        """
        keys = np.fromiter((row[0] for row in added), np.int64, len(added))
        vectors = np.frombuffer(b"".join(row[2] for row in added), "<f4").astype(np.float32, copy=False)
        vectors = vectors.reshape(len(added), -1) if added else np.empty((0, 0), np.float32)
        removed_keys = np.fromiter((row[0] for row in removed), np.int64, len(removed))
        return cls(keys, vectors, removed_keys, last_seq, is_all, forgotten, epoch)


def by_name(rows: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    """The values of each name, from rows of a name and a value, in their order."""
    values: dict[str, list[T]] = {}
    for name, value in rows:
        values.setdefault(name, []).append(value)
    return values


def stacked_vectors(rows: Iterable[tuple[str, bytes]]) -> dict[str, Vectors]:
    """The vectors (n, dim) of each name, from rows of a name and a vector (little-endian float32), in their order."""
    blobs = by_name(rows)
    return {name: np.frombuffer(b"".join(parts), "<f4").reshape(len(parts), -1) for name, parts in blobs.items()}


def reading_of(content: str | None) -> Reading | None:
    """The reading of a column `content` of the table `readings`, None without one."""
    return None if content is None else Reading.from_json(content)


def readings_of(items: Iterable[NewDocument]) -> list[tuple[str, Reading]]:
    """The ids and readings of those of the items that have one."""
    return [(item.document.id, item.reading) for item in items if item.reading is not None]


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


def texts_of_list(content: str) -> list[str]:
    """The texts in a JSON list.

    >>> texts_of_list('["dog", 3, "cat"]')
    ['dog', 'cat']
    """
    return [item for item in json.loads(content) if isinstance(item, str)]


def tags_json(tags: dict[str, Any]) -> str:
    """The JSON text of tags in the store.

    Raises:
        InputError: A number is NaN or infinite.
    """
    try:
        return _TO_JSON.encode(tags)
    except ValueError as error:
        raise InputError(f"tags must not contain NaN or Infinity, found {tags}") from error
