"""A replica of the store with an index of the text that was read in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.core.reading import Reading
from crossmodal.core.types import Keys
from crossmodal.index.replica import StoreReplica
from crossmodal.lexical.reading_index import ReadingIndex, ReadMatches
from crossmodal.store.protocol import Store
from crossmodal.store.readings import StoredReading
from crossmodal.store.records import StoreChanges

NAME = "readings"
WORDS = 1
"""The version of `folded_words`; an index of another version is rebuilt."""


class ReadingReplica(StoreReplica[ReadingIndex]):
    """The words of all pictures with text, synchronised with the store."""

    def __init__(self, store: Store, folder: Path) -> None:
        """Opens the snapshot, if there is a valid one, and replays later commits.

        Args:
            store: The store of the collection.
            folder: The folder of the snapshots.
        """
        self._added: list[StoredReading] = []
        super().__init__(store, "image", folder, NAME)

    def matches(self, words: Sequence[str], allowed: Keys | None = None) -> ReadMatches:
        """As `ReadingIndex.matches`, including the latest commits."""
        self.refresh()
        with self._lock:
            return self.index.matches(words, allowed)

    def description(self) -> tuple[str, str]:
        """As `StoreReplica.description`."""
        with self._lock:
            return "inverted", f"text in {self.index.n_pictures} pictures, {len(self.index.terms)} words"

    # -- for `StoreReplica`

    def _empty(self) -> ReadingIndex:
        return ReadingIndex()

    def _changes(self, forgotten: int) -> StoreChanges | None:
        changes = self.store.readings.changes_after(self.last_seq, forgotten=forgotten, epoch=self.epoch)
        if changes is None:
            return None
        self._added = changes.added
        keys, none = np.array([row.key for row in changes.added], np.int64), np.empty((0, 0), np.float32)
        return StoreChanges(
            keys, none, changes.removed, changes.last_seq, changes.is_all, changes.forgotten, changes.epoch
        )

    def _add(self, changes: StoreChanges) -> int:
        self.index.remove(changes.added)
        rows = [row for row in self._added if row.tag]
        if rows:
            numbers, pictures = np.array([(row.seq, row.key) for row in rows], np.int64).T
            self.index.add(numbers, [Reading.from_json(row.content).text for row in rows], pictures)
        return len(self._added)

    def _index_to_write(self, *, compact: bool) -> ReadingIndex:
        return self.index.compacted()

    def _load_index(self, stem: str) -> ReadingIndex:
        return ReadingIndex.load(self.folder, stem)

    def _identity(self) -> dict[str, Any]:
        return {"words": WORDS}
