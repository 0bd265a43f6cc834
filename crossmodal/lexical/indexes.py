"""The lexical indexes of a collection with a sparse model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossmodal.core.batched import batched
from crossmodal.core.types import Document, ModelSpec
from crossmodal.lexical.caption_replica import CaptionReplica
from crossmodal.lexical.encoder import load_model
from crossmodal.lexical.model import SparseModel
from crossmodal.lexical.term_replica import TermReplica
from crossmodal.store.protocol import Store

READ_AT_ONCE = 1_000


@dataclass(frozen=True)
class WordIndexes:
    """The index of the images' learned words, and the BM25 index of their captions."""

    model: SparseModel
    words: TermReplica
    captions: CaptionReplica

    @classmethod
    def open(cls, folder: Path, model: ModelSpec, store: Store) -> WordIndexes:
        """Opens both indexes of a collection.

        Args:
            folder: The folder of the collection's indexes.
            model: The collection's model, of family `sparse`.
            store: The collection's store, open.

        Raises:
            StateError: The model's files have changed since the collection was indexed.
        """
        loaded = load_model(model)
        return cls(loaded, TermReplica(store, folder, loaded, model.weights_hash), CaptionReplica(store, folder))


def wordless(model: ModelSpec, store: Store, ids: Sequence[str]) -> Iterator[Document]:
    """The images among `ids` for which a sparse model predicts no word."""
    loaded = load_model(model)
    for part in batched(ids, READ_AT_ONCE):
        vectors = store.vectors_of(part)
        if not vectors:
            continue
        weights = loaded.image_weights(np.stack(list(vectors.values())))
        without = [image for image, n in zip(vectors, np.diff(weights.indptr), strict=True) if n == 0]
        yield from store.known(without).values()
