"""The text that was read in the pictures of a store: what every store does with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from crossmodal.core.reading import Reading
from crossmodal.core.types import Keys

EXIST = "SELECT EXISTS (SELECT 1 FROM readings), EXISTS (SELECT 1 FROM readings WHERE tag <> '')"
"""`Readings.exist` in SQL. Counting would read the contents of all readings."""


class StoredReading(NamedTuple):
    """A row of the table `readings`, with the id of the picture."""

    key: int
    seq: int
    image_id: str
    content: str
    tag: str


@dataclass(frozen=True)
class ReadingChanges:
    """The readings and removals between two sequence numbers.

    Attributes:
        added: The readings, by rising sequence number; one of a known picture replaces the older one.
        removed: The keys of removed pictures.
        last_seq, is_all, forgotten, epoch: As in `StoreChanges`.
    """

    added: list[StoredReading]
    removed: Keys
    last_seq: int
    is_all: bool
    forgotten: int
    epoch: int = 0


class Readings(Protocol):
    """The text in the pictures of a store."""

    def put(self, readings: Iterable[tuple[str, Reading]]) -> int:
        """Stores the readings of pictures by id, and sets their tag `text`, in one transaction.

        Returns:
            How many were stored; an unknown id is left out, an older reading of a picture is replaced.
        """
        ...

    def exist(self) -> tuple[bool, bool]:
        """Whether pictures were read, and whether text was found in any of them."""
        ...

    def unread(self) -> Keys:
        """The keys (n,) of the pictures that were not read, rising."""
        ...

    def of(self, image_ids: Iterable[str]) -> dict[str, Reading]:
        """The readings of pictures by id, without those that were not read."""
        ...

    def changes_after(
        self, seq: int, limit: int = 10_000, *, forgotten: int = 0, epoch: int = 0
    ) -> ReadingChanges | None:
        """As `Store.changes_after`, for readings."""
        ...

    def rows(self, after: int, until: int) -> list[StoredReading]:
        """The readings with `after < key <= until`, rising."""
        ...

    def replace(self, stale: Iterable[int], added: Iterable[StoredReading]) -> None:
        """Removes readings by key, and writes others with their numbers, for exact copies; tags are not changed."""
        ...
