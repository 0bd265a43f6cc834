"""Every index of a collection, whatever its model; what reads words is imported only where there are any."""

from __future__ import annotations

from typing import Any

from crossmodal.collection.collection import Collection
from crossmodal.core.types import ModelSpec
from crossmodal.index.replica import StoreReplica
from crossmodal.store.sqlite import DocumentStore


def has_words(model: ModelSpec) -> bool:
    """Whether collections of this model have indexes of words."""
    return model.base is not None


def every_index(collection: Collection, store: DocumentStore) -> dict[str, StoreReplica[Any]]:
    """The indexes by name: `image` and `text`, and of a sparse model `sparse` and `bm25`, too."""
    found: dict[str, StoreReplica[Any]] = {
        "image": collection.index(store, "image"),
        "text": collection.index(store, "text"),
    }
    if has_words(collection.model):
        from crossmodal.lexical.indexes import WordIndexes

        opened = WordIndexes.open(collection.index_folder, collection.model, store)
        found |= {"sparse": opened.words, "bm25": opened.captions}
    return found
