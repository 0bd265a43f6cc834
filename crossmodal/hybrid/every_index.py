"""Every index of a collection, whatever its model; what reads words is imported only where there are any."""

from __future__ import annotations

from typing import Any

from crossmodal.core.types import ModelSpec
from crossmodal.index.collection import Collection
from crossmodal.index.follower import Follower
from crossmodal.store.sqlite import DocumentStore


def has_words(model: ModelSpec) -> bool:
    """Whether collections of this model have indexes of words."""
    return model.base is not None


def every_index(collection: Collection, store: DocumentStore) -> dict[str, Follower[Any]]:
    """The indexes by name: `image` and `text`, and of a sparse model `sparse` and `bm25`, too."""
    found: dict[str, Follower[Any]] = {
        "image": collection.index(store, "image"),
        "text": collection.index(store, "text"),
    }
    if has_words(collection.model):
        from crossmodal.hybrid.indexes import WordIndexes

        opened = WordIndexes.open(collection, store)
        found |= {"sparse": opened.words, "bm25": opened.captions}
    return found
