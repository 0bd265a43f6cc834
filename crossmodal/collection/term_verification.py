"""Consistency of the word indexes of a sparse collection with its store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.lexical.indexes import WordIndexes
from crossmodal.lexical.terms import words_of
from crossmodal.store.sqlite import DocumentStore


def problems_of_words(collection: Collection, store: DocumentStore, n_sampled: int) -> Iterator[tuple[str, str]]:
    """The problems as (item, reason): pictures' words against their vectors, captions' words against their texts.

    About `n_sampled` of each are compared.
    """
    indexes = WordIndexes.open(collection.index_folder, collection.model, store)
    again = "run -t rebuild"
    pictures, captions = store.keys("image"), store.captions_by_keys(store.keys("text").tolist())
    for name, index, n in (("sparse", indexes.words, len(pictures)), ("bm25", indexes.captions, len(captions))):
        if len(index) != n:
            yield (f"{name} index", f"has {len(index)} documents, the store {n}: {again}")
        if index.opening_problem:
            yield (f"{name} index", f"{index.opening_problem}: {again}")
    sample = pictures[:: max(1, len(pictures) // n_sampled)]
    sampled = {key: found.id for key, found in store.by_keys(sample.tolist()).items()}
    vectors = store.vectors_of(sampled.values())
    expected = indexes.model.image_weights(np.stack([vectors[own] for own in sampled.values()])) if sampled else []
    found = indexes.words.index.weights_of(np.array(list(sampled)), np.arange(len(indexes.model.vocabulary)))
    for own, weights, is_so in zip(sampled.values(), expected, found, strict=True):
        if not np.allclose(is_so, weights.toarray(), atol=1e-4):
            yield ("sparse index", f"has other words of {own} than its vector gives: {again}")
    some = captions[:: max(1, len(captions) // n_sampled)]
    for (_, text, _), words in zip(some, indexes.captions.index.counts_of([key for key, *_ in some]), strict=True):
        if words != Counter(words_of(text)):
            yield ("bm25 index", f"has other words of the caption {text!r}: {again}")
