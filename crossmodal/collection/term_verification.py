"""Checks the lexical indexes of a collection against its store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.lexical.indexes import WordIndexes
from crossmodal.lexical.terms import words_of
from crossmodal.store.protocol import Store


def problems_of_words(collection: Collection, store: Store, n_sampled: int) -> Iterator[tuple[str, str]]:
    """The problems as (item, reason), found by comparing the indexed words with vectors and captions.

    Compares about `n_sampled` images and captions.
    """
    indexes = WordIndexes.open(collection.index_folder, collection.model, store)
    next_step = "run -t rebuild"
    pictures, captions = store.keys("image"), store.captions_by_keys(store.keys("text").tolist())
    for name, index, n in (("sparse", indexes.words, len(pictures)), ("bm25", indexes.captions, len(captions))):
        if len(index) != n:
            yield (f"{name} index", f"has {len(index)} documents, the store {n}: {next_step}")
        if index.opening_problem:
            yield (f"{name} index", f"{index.opening_problem}: {next_step}")
    sample = pictures[:: max(1, len(pictures) // n_sampled)]
    ids = {key: document.id for key, document in store.by_keys(sample.tolist()).items()}
    vectors = store.vectors_of(ids.values())
    expected = indexes.model.image_weights(np.stack([vectors[image] for image in ids.values()])) if ids else []
    indexed = indexes.words.index.weights_of(np.array(list(ids)), np.arange(len(indexes.model.vocabulary)))
    for image, weights, actual in zip(ids.values(), expected, indexed, strict=True):
        if not np.allclose(actual, weights.toarray(), atol=1e-4):
            yield ("sparse index", f"has words of {image} that don't match its vector: {next_step}")
    some = captions[:: max(1, len(captions) // n_sampled)]
    for (_, text, _), words in zip(some, indexes.captions.index.counts_of([key for key, *_ in some]), strict=True):
        if words != Counter(words_of(text)):
            yield ("bm25 index", f"has words that don't match the caption {text!r}: {next_step}")
