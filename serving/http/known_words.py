"""The strongest words of each picture of a sparse collection."""

from __future__ import annotations

from functools import cached_property

from crossmodal.core.types import ModelSpec
from crossmodal.lexical.encoder import load_model
from crossmodal.lexical.model import SparseModel
from crossmodal.search.fusion import fusion_of, name_of
from crossmodal.store.protocol import Store
from serving.http.schemas import Word

N_WORDS = 20


class Words:
    """Reads the words of pictures from the vectors in the store; the model is loaded on first use."""

    def __init__(self, model: ModelSpec, store: Store) -> None:
        self._spec, self._store = model, store
        self.fusion = name_of(fusion_of(model))

    @cached_property
    def _model(self) -> SparseModel:
        return load_model(self._spec)

    def of_picture(self, picture_id: str) -> list[Word]:
        """The `N_WORDS` words of a picture with the largest weights, largest first; empty for an unknown picture."""
        vector = self._store.vectors_of([picture_id]).get(picture_id)
        if vector is None:
            return []
        return [Word(word=word, weight=weight) for word, weight in self._model.strongest_words(vector, N_WORDS)]
