"""Keeps the indexes of a collection up to date while documents are added."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from crossmodal.index.replica import StoreReplica

SNAPSHOT_EVERY = 20_000
"""New documents between two snapshots of a long indexing run."""


def follow_store(indexes: Collection[StoreReplica[Any]], *, is_end: bool = False) -> None:
    """Applies new commits of the store to indexes; writes their snapshots at the end and after many commits."""
    for index in indexes:
        index.refresh()
    if is_end or max(index.n_unsaved for index in indexes) >= SNAPSHOT_EVERY:
        for index in indexes:
            index.snapshot()
