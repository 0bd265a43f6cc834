"""BM25 over captions as weights of words, so that the inverted index of learned weights ranks it too.

The weight of a word in a picture's captions is all that BM25 gives for it, and a query has 1 for each of its
words: the dot product is the score. So it has the same search, updates, and reasons (`SparseIndex.why`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from crossmodal.encoders.term_vocabulary import TermVocabulary, words_of

K1, B = 1.2, 0.75


class Bm25:
    """The statistics of a collection of texts, and the weights that follow from them.

    They are of the texts it was made from; texts that come later are weighed by the same ones. Make it anew
    when the collection has changed much.

    Source: Robertson and Zaragoza 2009 (The probabilistic relevance framework: BM25 and beyond), equation 3.15;
        with ln(1 + (N - n + 0.5) / (n + 0.5)), as Lucene has it, which is never negative.
    """

    def __init__(self, vocabulary: TermVocabulary, mean_length: float, k1: float = K1, b: float = B) -> None:
        """Takes words, counted in the texts, and the mean number of words of a text; `fit` counts them."""
        self.vocabulary, self.mean_length, self.k1, self.b = vocabulary, mean_length, k1, b
        counts = np.array(vocabulary.counts)
        self.idf = np.log1p((vocabulary.n_texts - counts + 0.5) / (counts + 0.5))

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
        relative = np.array(lengths) / self.mean_length
        full = self.k1 * (1 - self.b + self.b * relative)
        counts.data *= (
            self.idf[counts.indices] * (self.k1 + 1) / (counts.data + np.repeat(full, np.diff(counts.indptr)))
        )
        return counts.astype(np.float32)

    def encode_query(self, text: str) -> csr_matrix:
        """The weights (1, V) float32 of a query: 1 a word, or what `dog^2 -cat` says."""
        return self.vocabulary.encode_query(text)

    def encode_queries(self, texts: Sequence[str]) -> csr_matrix:
        """The weights (n, V) float32 of queries without weights: 1 a word."""
        return self.vocabulary.encode(texts)
