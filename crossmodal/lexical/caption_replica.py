"""A replica of the store with a BM25 index of the captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.core.types import Keys
from crossmodal.index.replica import StoreReplica
from crossmodal.lexical.caption_index import NO_PICTURE, CaptionIndex
from crossmodal.lexical.postings import Weights
from crossmodal.lexical.terms import lemmas_version
from crossmodal.store.protocol import Store
from crossmodal.store.records import StoreChanges

NAME = "bm25"


class CaptionReplica(StoreReplica[CaptionIndex]):
    """BM25 over the captions of all images, synchronised with the store."""

    def __init__(self, store: Store, folder: Path) -> None:
        """Opens the snapshot, if there is a valid one, and replays later commits.

        Args:
            store: The store of the collection.
            folder: The folder of the snapshots.
        """
        super().__init__(store, "text", folder, NAME)

    def search(self, query: Sequence[tuple[str, float]], k: int, allowed: Keys | None = None) -> tuple[Weights, Keys]:
        """As `CaptionIndex.search`, including the latest commits."""
        self.refresh()
        with self._lock:
            return self.index.search(query, k, allowed)

    def contributions(self, query: Sequence[tuple[str, float]], keys: Keys) -> Weights:
        """As `CaptionIndex.contributions`."""
        with self._lock:
            return self.index.contributions(query, keys)

    def knows(self, word: str) -> bool:
        """Whether the word occurs in a caption, or in one that was removed."""
        self.refresh()
        return word in self.index.terms

    def description(self) -> tuple[str, str]:
        """As `StoreReplica.description`."""
        with self._lock:
            return "inverted", f"captions of {self.index.n_pictures} pictures, {len(self.index.terms)} words"

    # -- for `StoreReplica`

    def _empty(self) -> CaptionIndex:
        return CaptionIndex()

    def _changes(self, forgotten: int) -> StoreChanges | None:
        return self.store.changes_after(
            "text", self.last_seq, forgotten=forgotten, epoch=self.epoch, with_vectors=False
        )

    def _add(self, changes: StoreChanges) -> int:
        for key, _, picture in self.store.captions_by_keys(self.index.waiting().tolist()):
            if picture is not None:
                self.index.set_picture(key, picture)
        captions = self.store.captions_by_keys(changes.added.tolist())
        if captions:
            pictures = [NO_PICTURE if picture is None else picture for _, _, picture in captions]
            keys = np.array([key for key, *_ in captions])
            self.index.add(keys, [text for _, text, _ in captions], np.array(pictures))
        return len(captions)

    def _index_to_write(self, *, compact: bool) -> CaptionIndex:
        return self.index.compacted()

    def _load_index(self, stem: str) -> CaptionIndex:
        return CaptionIndex.load(self.folder, stem)

    def _identity(self) -> dict[str, Any]:
        return {"lemmas": lemmas_version()}
