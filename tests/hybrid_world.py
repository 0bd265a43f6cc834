"""Test data for hybrid search: a sparse model of six words over 8-dimensional vectors, and pictures with captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.core.types import Document, ModelSpec, Preprocessing, Vectors
from crossmodal.lexical.encoder import resolve
from crossmodal.lexical.indexes import WordIndexes
from crossmodal.lexical.model import QueryWeights, Recipe, SparseConfig, SparseModel
from crossmodal.lexical.terms import TermVocabulary
from crossmodal.store.sqlite import DocumentStore, NewDocument

DIM = 8
BASE = ModelSpec("clip", "scenes", "hash", DIM, Preprocessing(size_px=8))
WORDS = ("blue", "cat", "dog", "heart", "red", "star")


def write_model(
    folder: Path, words: tuple[str, ...] = WORDS, recipe: Recipe = "dense-to-sparse", query: QueryWeights = "words"
) -> ModelSpec:
    """Writes a model in which the weight of word i is component i of the vector, if positive."""
    same, none = np.eye(len(words), DIM, dtype=np.float32), np.zeros(len(words), np.float32)
    heads = {"image.0.weight": same, "image.0.bias": none}
    if query == "words":
        heads["words"] = np.arange(1, len(words) + 1, dtype=np.float32)
    else:
        heads |= {"text.0.weight": same, "text.0.bias": none}
    vocabulary = TermVocabulary.fit([" ".join(words)])
    SparseModel(SparseConfig(recipe, BASE, query), vocabulary, heads).save(folder)
    return resolve(str(folder))


def unit(*numbers: float) -> Vectors:
    vector = np.zeros(DIM, np.float32)
    vector[: len(numbers)] = numbers
    return vector / np.linalg.norm(vector)


def picture(name: str, vector: Vectors) -> NewDocument:
    return NewDocument(Document(name, "image", uri=f"{name}.jpg", tags={"filename": f"{name}.jpg"}), vector)


def caption(text: str, of: str) -> NewDocument:
    return NewDocument(Document(f"{of}: {text}", "text", text=text, image_id=of), unit(1.0))


class World:
    """A writable collection of a sparse model."""

    def __init__(self, folder: Path, recipe: Recipe = "dense-to-sparse", query: QueryWeights = "words") -> None:
        self.spec = write_model(folder / "model", recipe=recipe, query=query)
        self.collection = Collection.create(folder / "collection", self.spec)
        self.store: DocumentStore = self.collection.store(writable=True)

    def indexes(self) -> WordIndexes:
        return WordIndexes.open(self.collection.index_folder, self.collection.model, self.store)
