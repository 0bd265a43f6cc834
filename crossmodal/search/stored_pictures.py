"""The vectors and captions of pictures that a relevance rule judges."""

from __future__ import annotations

import numpy as np

from crossmodal.core.types import Vectors
from crossmodal.relevance.rules import Floats
from crossmodal.store.protocol import Store


class StoredPictures:
    """Implements `relevance.rules.Judged` by reading the store on demand."""

    def __init__(self, store: Store, ids: list[str], query: Vectors) -> None:
        """Takes the store, the ids of the pictures, and the vector (dim,) of the query."""
        self._store, self._ids, self._query = store, ids, query

    def vectors(self) -> Vectors:
        """See `Judged.vectors`; zeros for a picture that was removed in the meantime."""
        vectors, unknown = self._store.vectors_of(self._ids), np.zeros_like(self._query)
        return np.stack([vectors.get(image_id, unknown) for image_id in self._ids])

    def captions(self) -> Floats:
        """See `Judged.captions`."""
        vectors = self._store.caption_vectors_of(self._ids)
        return np.array(
            [float((vectors[name] @ self._query).max()) if name in vectors else np.nan for name in self._ids]
        )
