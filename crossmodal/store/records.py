"""The records that a store takes and gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.core.types import Document, Keys, Vectors

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
    epoch: int = 0  # raised when commits may have been lost


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


def tags_json(tags: dict[str, Any]) -> str:
    """The JSON text of tags in the store.

    Raises:
        InputError: A number is NaN or infinite.
    """
    try:
        return _TO_JSON.encode(tags)
    except ValueError as error:
        raise InputError(f"tags must not contain NaN or Infinity, found {tags}") from error
