"""All indexes of a collection. The lexical indexes are imported only if they are used."""

from __future__ import annotations

from typing import Any

from crossmodal.collection.collection import Collection
from crossmodal.core.slices import WHOLE, Slice
from crossmodal.index.replica import StoreReplica
from crossmodal.store.protocol import Store


def every_index(collection: Collection, store: Store, part: Slice = WHOLE) -> dict[str, StoreReplica[Any]]:
    """The indexes, of one slice, by name: `image` and `text`; with a sparse model also `sparse` and `bm25`;
    with text in pictures also `readings`.
    """
    indexes: dict[str, StoreReplica[Any]] = {
        "image": collection.index(store, "image", part=part),
        "text": collection.index(store, "text", part=part),
    }
    if collection.model.has_lexical:
        from crossmodal.lexical.indexes import WordIndexes

        lexical = WordIndexes.open(collection.index_folder, collection.model, store)
        indexes |= {"sparse": lexical.words, "bm25": lexical.captions}
    if store.readings.exist()[1]:
        from crossmodal.lexical.reading_replica import ReadingReplica

        indexes["readings"] = ReadingReplica(store, collection.index_folder)
    return indexes
