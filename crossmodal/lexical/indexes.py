"""The indexes of words that a collection of a sparse model has beside its vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crossmodal.core.types import ModelSpec
from crossmodal.lexical.caption_replica import CaptionReplica
from crossmodal.lexical.model import SparseModel, load_model
from crossmodal.lexical.term_replica import TermReplica
from crossmodal.store.sqlite import DocumentStore


@dataclass(frozen=True)
class WordIndexes:
    """The learned words of the pictures, and the words of their captions."""

    model: SparseModel
    words: TermReplica
    captions: CaptionReplica

    @classmethod
    def open(cls, folder: Path, model: ModelSpec, store: DocumentStore) -> WordIndexes:
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
