"""What an indexing run says of the words of its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from crossmodal.core.types import Document, ModelSpec
from crossmodal.lexical.model import load_model
from crossmodal.store.sqlite import DocumentStore

AT_ONCE = 1_000


def wordless(model: ModelSpec, store: DocumentStore, ids: Sequence[str]) -> Iterator[Document]:
    """Those of these pictures that none of a sparse model's words fits."""
    words = load_model(model)
    for start in range(0, len(ids), AT_ONCE):
        vectors = store.vectors_of(ids[start : start + AT_ONCE])
        if not vectors:
            continue
        weights = words.image_weights(np.stack(list(vectors.values())))
        without = [own for own, n in zip(vectors, np.diff(weights.indptr), strict=True) if n == 0]
        yield from store.known(without).values()
