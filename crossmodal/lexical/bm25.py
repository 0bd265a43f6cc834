"""BM25 over captions as sparse weights of words.

The weight of a word in an image's captions is its complete BM25 contribution, and a query has the weight 1 for each
word, so the dot product is the BM25 score. `SparseIndex` can therefore search, update and explain (`why`) it in the
same way as learned weights.
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
    """The inverse document frequency of words that occur in n of N texts: ln(1 + (N - n + 0.5) / (n + 0.5)).

    Lucene's variant, which is never negative.
    """
    return np.asarray(np.log1p((n_texts - counts + 0.5) / (counts + 0.5)), np.float64)


def saturated(counts: Floats, relative_lengths: Floats, k1: float = K1, b: float = B) -> Floats:
    """BM25's saturated term frequency; relative lengths are the text's length divided by the mean length."""
    return counts * (k1 + 1) / (counts + k1 * (1 - b + b * relative_lengths))


class Bm25:
    """BM25 weights of texts, with the statistics of a fixed collection of texts.

    Later texts are weighted with the same statistics, so fit again after large changes of the collection.

    Source: Robertson and Zaragoza 2009 (The probabilistic relevance framework: BM25 and beyond), equation 3.15;
        with the logarithm of Lucene.
    """

    def __init__(self, vocabulary: TermVocabulary, mean_length: float, k1: float = K1, b: float = B) -> None:
        """Stores the vocabulary with its counts and the mean number of words per text; `fit` computes both."""
        self.vocabulary, self.mean_length, self.k1, self.b = vocabulary, mean_length, k1, b
        self.idf = rarity(vocabulary.n_texts, np.array(vocabulary.counts))

    @classmethod
    def fit(cls, texts: Sequence[str], k1: float = K1, b: float = B) -> Bm25:
        """The statistics of texts, one per image: its joined captions.

        Raises:
            InputError: The texts have no words.
        """
        vocabulary = TermVocabulary.fit(texts)
        return cls(vocabulary, sum(len(words_of(text)) for text in texts) / len(texts), k1, b)

    def encode(self, texts: Sequence[str]) -> csr_matrix:
        """The weights (n, V) float32 of n texts, one per image."""
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
        """The weights (1, V) float32 of a query: 1 per word, unless weighted as in `dog^2 -cat`."""
        return self.vocabulary.encode_query(text)

    def encode_queries(self, texts: Sequence[str]) -> csr_matrix:
        """The weights (n, V) float32 of unweighted queries: 1 per word."""
        return self.vocabulary.encode(texts)
