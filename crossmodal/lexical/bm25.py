"""BM25 over captions as weights of words, so that the inverted index of learned weights ranks it too.

The weight of a word in a picture's captions is all that BM25 gives for it, and a query has 1 for each of its
words: the dot product is the score. So it has the same search, updates, and reasons (`SparseIndex.why`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from crossmodal.lexical.terms import TermVocabulary, words_of

K1, B = 1.2, 0.75


Floats = NDArray[np.float64]


def rarity(n_texts: int, counts: Floats | NDArray[np.int64]) -> Floats:
    """ln(1 + (N - n + 0.5) / (n + 0.5)) of words that n of N texts have, as Lucene has it: never negative."""
    return np.asarray(np.log1p((n_texts - counts + 0.5) / (counts + 0.5)), np.float64)


def saturated(counts: Floats, relative_lengths: Floats, k1: float = K1, b: float = B) -> Floats:
    """How much a word counts that a text has so often, by the length of the text, with 1 for the mean length."""
    return counts * (k1 + 1) / (counts + k1 * (1 - b + b * relative_lengths))


class Bm25:
    """The statistics of a collection of texts, and the weights that follow from them.

    They are of the texts it was made from; texts that come later are weighed by the same ones. Make it anew
    when the collection has changed much.

    Source: Robertson and Zaragoza 2009 (The probabilistic relevance framework: BM25 and beyond), equation 3.15;
        with the logarithm of Lucene.
    """

    def __init__(self, vocabulary: TermVocabulary, mean_length: float, k1: float = K1, b: float = B) -> None:
        """Takes words, counted in the texts, and the mean number of words of a text; `fit` counts them."""
        self.vocabulary, self.mean_length, self.k1, self.b = vocabulary, mean_length, k1, b
        self.idf = rarity(vocabulary.n_texts, np.array(vocabulary.counts))

    @classmethod
    def fit(cls, texts: Sequence[str], k1: float = K1, b: float = B) -> Bm25:
        """The statistics of these texts, one a picture: its captions together.

        Raises:
            InputError: They have no words.
        """
        vocabulary = TermVocabulary.fit(texts)
        return cls(vocabulary, sum(len(words_of(text)) for text in texts) / len(texts), k1, b)

    def encode(self, texts: Sequence[str]) -> csr_matrix:
        """The weights (n, V) float32 of n texts, one a picture."""
        place = {word: i for i, word in enumerate(self.vocabulary.words)}
        rows, terms, lengths = [], [], []
        for row, text in enumerate(texts):
            words = words_of(text)
            lengths.append(len(words))
            known = [place[word] for word in words if word in place]
            rows += [row] * len(known)
            terms += known
        counts = csr_matrix((np.ones(len(rows)), (rows, terms)), shape=(len(texts), len(place)))
        relative = np.repeat(np.array(lengths) / self.mean_length, np.diff(counts.indptr))
        counts.data = self.idf[counts.indices] * saturated(counts.data, relative, self.k1, self.b)
        return counts.astype(np.float32)

    def encode_query(self, text: str) -> csr_matrix:
        """The weights (1, V) float32 of a query: 1 a word, or what `dog^2 -cat` says."""
        return self.vocabulary.encode_query(text)

    def encode_queries(self, texts: Sequence[str]) -> csr_matrix:
        """The weights (n, V) float32 of queries without weights: 1 a word."""
        return self.vocabulary.encode(texts)
