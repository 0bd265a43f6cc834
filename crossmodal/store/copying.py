"""Exact copies of a store: documents with their keys and sequence numbers, and digests that tell what differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from crossmodal.core.batched import batched
from crossmodal.core.errors import StateError
from crossmodal.core.types import Document
from crossmodal.store.readings import StoredReading
from crossmodal.store.records import NewDocument
from crossmodal.store.saved_searches import copy_searches
from crossmodal.store.source_files import SourceFile

if TYPE_CHECKING:
    from crossmodal.store.protocol import Store

BLOCK = 1_000
"""Keys whose digests are compared at once."""
PAGE = 64
"""Documents that are read or written at once; some hundred MB if each has an embedded picture."""

_to_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


@dataclass(frozen=True)
class Numbers:
    """The newest numbers of a store; those up to them are never assigned again."""

    last_seq: int
    last_key: int
    removals_from: int


class Numbered(NamedTuple):
    """A document with its key and its sequence number."""

    key: int
    seq: int
    item: NewDocument


def numbered(row: Sequence[Any], document: Document, store: str) -> Numbered:
    """A document of a store with this name; the row begins with key, sequence number, vector, thumbnail and picture.

    Raises:
        StateError: It has no vector.
    """
    key, seq, vector, thumbnail, content = row[:5]
    if vector is None:
        raise StateError(f"{document.id} in {store} has no vector: delete it and index it again")
    return Numbered(key, seq, NewDocument(document, np.frombuffer(vector, "<f4"), thumbnail, content))


class Removal(NamedTuple):
    """The note that a document was removed."""

    seq: int
    key: int
    modality: str


class Copying(Protocol):
    """Reads and writes the rows of a store as they are."""

    def numbers(self) -> Numbers:
        """The newest numbers."""
        ...

    def digests(self, after: int, until: int) -> dict[int, bytes]:
        """The digest of each document with `after < key <= until`, by key; see `digest`."""
        ...

    def documents(self, keys: Sequence[int]) -> list[Numbered]:
        """The documents with these keys, rising, without unknown keys.

        Raises:
            StateError: One has no vector.
        """
        ...

    def removals(self) -> list[Removal]:
        """The recorded removals, in their order."""
        ...

    def replace(self, stale: Sequence[int], added: Sequence[Numbered]) -> None:
        """Writes documents with their numbers, in one transaction.

        Args:
            stale: Keys of documents to remove, without recording it.
            added: Documents to write; others with the same key, id or sequence number are removed.
        """
        ...

    def set_numbers(self, numbers: Numbers, removals: Sequence[Removal]) -> None:
        """Replaces the newest numbers and the recorded removals."""
        ...

    def set_closed(self, is_closed: bool) -> None:
        """Closes the store to writers until a `rollback`, or opens it; a folder's store is never closed."""
        ...

    def locked(self) -> AbstractContextManager[Callable[[], None]]:
        """Keeps all other writers out for the block; the store must be open as writable.

        The function raises a StateError if the lock was lost in the meantime.
        """
        ...


def mirror(source: Store, target: Store, progress: Callable[[int], None], *, is_closed: bool = False) -> int:
    """Makes a store equal to another one; returns how many documents were written.

    Blocks with the same digests are left as they are, so an interrupted call is continued by the next. Documents that
    are changed meanwhile may be missing: call it again with the source locked.

    Args:
        source: The store to copy.
        target: A store that nobody else uses.
        progress: Called with the number of further documents that are equal.
        is_closed: Whether the target is closed to writers afterwards.
    """
    n_written = 0
    target.copying.set_closed(False)
    last = max(store.copying.numbers().last_key for store in (source, target))
    for wanted, found in digest_blocks(source, target, last):
        target.copying.replace([key for key, digest in found.items() if wanted.get(key) != digest], [])
        missing = [key for key, digest in wanted.items() if found.get(key) != digest]
        for part in batched(missing, PAGE):
            documents = source.copying.documents(part)
            target.copying.replace([], documents)
            n_written += len(documents)
            progress(len(documents))
        progress(len(wanted) - len(missing))
    _mirror_files(source, target)
    for wanted_readings, found_readings in reading_blocks(source, target, last):
        stale = [key for key in found_readings if key not in wanted_readings]
        changed = [row for key, row in wanted_readings.items() if found_readings.get(key) != row]
        if stale or changed:
            target.readings.replace(stale, changed)
    copy_searches(source.searches, target.searches)
    target.copying.set_numbers(source.copying.numbers(), source.copying.removals())
    target.copying.set_closed(is_closed)
    return n_written


def digest_blocks(one: Store, other: Store, last: int) -> Iterator[tuple[dict[int, bytes], dict[int, bytes]]]:
    """The digests by key of both stores, a block of at most `BLOCK` keys up to `last` at a time."""
    for after in range(0, last, BLOCK):
        yield one.copying.digests(after, after + BLOCK), other.copying.digests(after, after + BLOCK)


def reading_blocks(
    one: Store, other: Store, last: int
) -> Iterator[tuple[dict[int, StoredReading], dict[int, StoredReading]]]:
    """The readings by key of both stores, a block of at most `BLOCK` keys up to `last` at a time."""
    for after in range(0, last, BLOCK):
        ours, theirs = (store.readings.rows(after, after + BLOCK) for store in (one, other))
        yield {row.key: row for row in ours}, {row.key: row for row in theirs}


def _mirror_files(source: Store, target: Store) -> None:
    wanted, found = files_by_path(source), files_by_path(target)
    target.files.forget([path for path, file in found.items() if wanted.get(path) != file])
    missing: dict[str, list[SourceFile]] = {}
    for path, (data_set, file) in wanted.items():
        if found.get(path) != (data_set, file):
            missing.setdefault(data_set, []).append(file)
    for data_set, files in missing.items():
        target.files.put(data_set, files)


def files_by_path(store: Store) -> dict[str, tuple[str, SourceFile]]:
    """The data set and the record of each source file."""
    return {file.path: (data_set, file) for data_set, files in store.files.by_source().items() for file in files}


def digest(key: int, seq: int, document: Document, *blobs: bytes | None) -> bytes:
    """The SHA-256 of a document as a store has it; the same in every store.

    Args:
        key: Its key.
        seq: Its sequence number.
        document: The document.
        blobs: The SHA-256 of its vector, its thumbnail and its encoded picture, None for what it does not have.
    """
    fields = {**vars(document), "tags": comparable(document.tags)}
    result = sha256(_to_json([key, seq, fields]).encode())
    for blob in blobs:
        result.update(blob or bytes(32))
    return result.digest()


def comparable(value: Any) -> Any:
    """A JSON value in which equal numbers are written alike.

    >>> comparable([1e16, -0.0, 1.5e300 == 15 * 10**299, 0.25])
    [10000000000000000, 0, False, 0.25]
    """
    if isinstance(value, dict):
        return {name: comparable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [comparable(part) for part in value]
    if isinstance(value, float):
        exact = Decimal(repr(value))  # the digits that are stored, not the binary number
        return int(exact) if exact == exact.to_integral_value() else value
    return value
