"""BM25 as weights of words: the formula, and the same ranking through the inverted index."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crossmodal.core.errors import InputError
from crossmodal.lexical.bm25 import Bm25
from crossmodal.lexical.inverted import SparseIndex
from crossmodal.lexical.terms import words_of

TEXTS = ["a red heart on sand", "red red star", "blue star over blue water, near a wooden bridge", "green moon"]


def bm25_by_hand(query: str, text: str, k1: float = 1.2, b: float = 0.75) -> float:
    every = [words_of(other) for other in TEXTS]
    words, mean = words_of(text), sum(map(len, every)) / len(every)
    total = 0.0
    for word in set(words_of(query)):
        n, tf = sum(word in other for other in every), words.count(word)
        idf = math.log(1 + (len(TEXTS) - n + 0.5) / (n + 0.5))
        total += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(words) / mean))
    return total


@pytest.mark.parametrize("query", ["red star", "blue", "water and sand", "a red red heart"])
def test_the_dot_product_is_the_score(query: str) -> None:
    bm25 = Bm25.fit(TEXTS)
    scores = (bm25.encode(TEXTS) @ bm25.encode_query(query).T).toarray()[:, 0]
    assert scores.tolist() == pytest.approx([bm25_by_hand(query, text) for text in TEXTS], rel=1e-5)


def test_the_inverted_index_ranks_by_it() -> None:
    bm25 = Bm25.fit(TEXTS)
    index = SparseIndex(len(bm25.vocabulary))
    index.add(np.arange(len(TEXTS)), bm25.encode(TEXTS))
    _, keys = index.search(bm25.encode_queries(["red star", "moon"]), 4)
    assert keys.tolist() == [[1, 0, 2, -1], [3, -1, -1, -1]]


def test_words_that_came_later_and_pictures_without_captions() -> None:
    weights = Bm25.fit(TEXTS).encode(["", "zebra", "a red zebra"])
    assert np.diff(weights.indptr).tolist() == [0, 0, 1]
    assert np.isfinite(weights.data).all()


def test_texts_without_words_are_refused() -> None:
    with pytest.raises(InputError, match="no word is left"):
        Bm25.fit(["of the", ""])
