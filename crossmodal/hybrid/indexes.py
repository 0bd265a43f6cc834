"""The indexes of words that a collection of a sparse model has beside its vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crossmodal.core.types import ModelSpec
from crossmodal.encoders.sparse import FUSION_NAME, SparseModel, load_model
from crossmodal.hybrid.captions import FollowingCaptions
from crossmodal.hybrid.words import FollowingWords
from crossmodal.index.collection import Collection
from crossmodal.retrieval.fusion import Fusion, read_fusion
from crossmodal.store.sqlite import DocumentStore


def fusion_of(model: ModelSpec) -> Fusion:
    """How a search of a collection of this sparse model joins its parts where nobody says how."""
    return read_fusion(Path(model.weights) / FUSION_NAME)


@dataclass(frozen=True)
class WordIndexes:
    """The learned words of the pictures, and the words of their captions."""

    model: SparseModel
    words: FollowingWords
    captions: FollowingCaptions

    @classmethod
    def open(cls, collection: Collection, store: DocumentStore) -> WordIndexes:
        """Opens both over an open store.

        Raises:
            StateError: The model of the collection is not what it was.
        """
        model, folder = load_model(collection.model), collection.folder / "index"
        words = FollowingWords(store, folder, model, collection.model.weights_hash)
        return cls(model, words, FollowingCaptions(store, folder))
