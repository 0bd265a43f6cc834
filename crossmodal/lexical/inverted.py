"""An inverted index of images as weighted terms, with one posting list per term.

A search reads every posting of the query's terms, so the ranking is exact. With a million images, a query takes about a
million additions.

The file is longer than 300 lines because one class has all operations on the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack  # type: ignore[import-untyped]

from crossmodal.core.types import Keys
from crossmodal.lexical.best import best_rows
from crossmodal.lexical.posting_files import PostingArrays
from crossmodal.lexical.postings import Postings, Weights, canonical
from crossmodal.lexical.scoring import Scoring, ScoringStatistics, check_scoring


class SparseIndex:
    """Images as weights of `n_terms` terms: 8 bytes per posting, 13 per image, 8 per term.

    Added images are in separate posting lists, the tail, which the next search builds; removed images keep their
    postings. `compacted` merges everything into a new index. Not thread-safe: an index must not change during a search.
    """

    def __init__(self, n_terms: int) -> None:
        self.n_terms = n_terms
        self._keys: Keys = np.empty(0, np.int64)
        self._active = np.empty(0, np.int32)
        self._alive = np.empty(0, np.bool_)
        self._main = Postings.of(csr_matrix((0, n_terms), dtype=np.float32))
        self._waiting: list[csr_matrix] = []
        self._tail: Postings | None = None
        self._statistics: ScoringStatistics | None = None

    def __len__(self) -> int:
        return int(np.count_nonzero(self._alive))

    @property
    def keys(self) -> Keys:
        """The key of each row, ascending, removed rows included."""
        return self._keys

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Whether each row is not removed, (n_rows,)."""
        return self._alive

    @property
    def n_tail(self) -> int:
        """Images added since the index was compacted, removed ones included."""
        return len(self._keys) - self._main.n

    @property
    def n_dead(self) -> int:
        """Removed images that still have postings."""
        return len(self._keys) - len(self)

    def add(self, keys: Keys, weights: csr_matrix) -> None:
        """Adds n images with their weights of terms.

        Args:
            keys: (n,) int64, ascending and greater than all keys in the index.
            weights: (n, n_terms), finite and not negative; weights of 0 are not stored.

        Raises:
            ValueError: The keys or weights are invalid; nothing is added.
        """
        keys = np.asarray(keys, np.int64)
        if weights.shape != (len(keys), self.n_terms):
            raise ValueError(f"expected ({len(keys)}, {self.n_terms}) weights, found {weights.shape}")
        if (np.diff(keys, prepend=self._keys[-1:]) <= 0).any():
            raise ValueError("keys must ascend and be greater than all keys in the index")
        rows = canonical(weights)
        if not (np.isfinite(rows.data) & (rows.data > 0)).all():
            raise ValueError(f"weights must be finite and not negative, found {rows.data.min()} to {rows.data.max()}")
        self._keys = np.concatenate([self._keys, keys])
        self._active = np.concatenate([self._active, np.diff(rows.indptr).astype(np.int32)])
        self._alive = np.concatenate([self._alive, np.ones(len(keys), np.bool_)])
        self._waiting.append(rows)
        self._tail = self._statistics = None

    def remove(self, keys: Keys) -> int:
        """Removes the images with these keys; returns how many were in the index."""
        rows = self._rows_of(keys)
        before = len(self)
        self._alive[rows] = False
        self._statistics = None
        return before - len(self)

    def search(
        self, queries: csr_matrix, k: int, allowed: Keys | None = None, scoring: Scoring = "dot"
    ) -> tuple[Weights, Keys]:
        """The k best images of each query that share a term of positive weight with it.

        Args:
            queries: (q, n_terms) finite weights; a negative weight is for a term to avoid.
            k: Number of results, at least 1.
            allowed: If given, only images with these keys are returned.
            scoring: `dot` sums weight * query weight. `activation-idf` sums query weight * weight / number of the
                image's terms * ln(number of images / (1 + sum of the term's weights)); the logarithm is negative if the
                weights of a term sum to more than the number of images. `tf-idf` is the cosine of TF-IDF vectors, with
                the query's weights as its counts. The first search with one of these two after a change reads every
                posting.

        Returns:
            Scores (q, k), falling, and keys (q, k), ties by ascending key; missing results have the key -1 and the
            score -inf. Sums are in float32.

        Source: the scorings, a master's thesis on learned sparse image embeddings, 2021; the sums, exhaustive
            term-at-a-time evaluation, Turtle and Flood 1995 (Query evaluation: strategies and optimizations).
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, found {k}")
        scores, keys = np.full((queries.shape[0], k), -np.inf, np.float32), np.full((queries.shape[0], k), -1, np.int64)
        permitted = self._alive
        if allowed is not None:
            permitted = permitted & np.isin(self._keys, allowed)
        forbidden = None if permitted.all() else ~permitted
        for i, (terms, weights) in enumerate(self._queries(queries)):
            of_rows, floor = self._scores(terms, weights, scoring)
            if forbidden is not None:
                np.copyto(of_rows, -np.inf, where=forbidden)
            best = best_rows(of_rows, k, floor)
            scores[i, : len(best)], keys[i, : len(best)] = of_rows[best], self._keys[best]
        return scores, keys

    def posted_rows(self, term: int) -> tuple[NDArray[np.int64], Weights]:
        """The rows of the images with a term, ascending, and its weight in each."""
        parts = [part.of_term(term) for part in self.parts()]
        rows = np.concatenate(
            [place + rows.astype(np.int64) for place, (rows, _) in zip((0, self._main.n), parts, strict=True)]
        )
        weights = np.concatenate([of_part for _, of_part in parts])
        alive = self._alive[rows]
        return rows[alive], weights[alive]

    def contributions(
        self, query: csr_matrix, keys: Keys, scoring: Scoring = "dot"
    ) -> tuple[NDArray[np.int64], Weights]:
        """The t terms of a query (1, n_terms), and their contributions to the scores of n images, (n, t).

        A row sums to the image's score. A contribution is 0 if the image does not have the term or is not in the index.
        """
        [(terms, weights)] = self._queries(query)
        effective, of_row = self._effective(terms, weights, scoring)
        products: Weights = self.weights_of(keys, terms) * effective
        if of_row is not None and len(of_row):
            products *= of_row[np.minimum(np.searchsorted(self._keys, keys), len(of_row) - 1)][:, None]
        return terms, products

    def weights_of(self, keys: Keys, terms: NDArray[np.int64]) -> Weights:
        """The weight of each of t terms in each of n images, (n, t); 0 for a missing term or image."""
        keys = np.asarray(keys, np.int64)
        rows = np.searchsorted(self._keys, keys)
        is_known = rows < len(self._keys)
        is_known[is_known] = (self._keys[rows[is_known]] == keys[is_known]) & self._alive[rows[is_known]]
        result = np.zeros((len(keys), len(terms)), np.float32)
        for start, part in zip((0, self._main.n), self.parts(), strict=True):
            in_part = np.flatnonzero(is_known & (rows >= start) & (rows < start + part.n))
            for column, term in enumerate(terms.tolist()):
                posted, weights = part.of_term(term)
                places = np.searchsorted(posted, rows[in_part] - start)
                has = places < len(posted)
                has[has] = posted[places[has]] == rows[in_part][has] - start
                result[in_part[has], column] = weights[places[has]]
        return result

    def widen(self, n_terms: int) -> None:
        """Increases the number of terms to `n_terms`; no image has the new terms yet.

        Raises:
            ValueError: `n_terms` is less than the current number.
        """
        new = n_terms - self.n_terms
        if new < 0:
            raise ValueError(f"expected at least {self.n_terms} terms, found {n_terms}")
        main = self._main
        self._main = Postings(main.n, np.append(main.starts, np.full(new, main.starts[-1])), main.rows, main.weights)
        for rows in self._waiting:
            rows.resize((rows.shape[0], n_terms))
        self.n_terms, self._tail, self._statistics = n_terms, None, None

    def active_terms(self) -> NDArray[np.int32]:
        """The number of terms of each image, by ascending key."""
        return self._active[self._alive]

    def parts(self) -> tuple[Postings, Postings]:
        """The posting lists of the compacted images, and of those added since."""
        if self._tail is None:
            if len(self._waiting) != 1:
                self._waiting = [vstack([csr_matrix((0, self.n_terms), dtype=np.float32), *self._waiting])]
            self._tail = Postings.of(self._waiting[0])
        return self._main, self._tail

    def compacted(self) -> SparseIndex:
        """A new index of the same images, without a tail and without removed images; this one is unchanged."""
        index = SparseIndex(self.n_terms)
        place = np.cumsum(self._alive, dtype=np.int32) - 1
        starts = np.zeros(self.n_terms + 1, np.int64)
        rows, weights = [place[:0]], [np.empty(0, np.float32)]
        for term in range(self.n_terms):
            for start, part in zip((0, self._main.n), self.parts(), strict=True):
                of_part, of_rows = part.of_term(term)
                alive = self._alive[start : start + part.n][of_part]
                rows.append(place[start : start + part.n][of_part[alive]])
                weights.append(of_rows[alive])
                starts[term + 1] += len(rows[-1])
        index._keys, index._active = self._keys[self._alive], self._active[self._alive]
        index._alive = np.ones(len(index._keys), np.bool_)
        index._main = Postings(len(index._keys), np.cumsum(starts), np.concatenate(rows), np.concatenate(weights))
        return index

    def save(self, folder: Path, stem: str) -> list[str]:
        """Writes the compacted index as `PostingArrays.save`; returns the names of the files."""
        whole = self.compacted() if self.n_tail or self.n_dead else self
        main = whole._main
        return PostingArrays(whole._keys, whole._active, main.starts, main.rows, main.weights).save(folder, stem)

    @classmethod
    def load(cls, folder: Path, stem: str) -> SparseIndex:
        """Opens an index that `save` wrote; the posting lists are memory-mapped.

        Raises:
            StateError: A file is missing or damaged.
        """
        arrays = PostingArrays.load(folder, stem)
        n = len(arrays.keys)
        index = cls(len(arrays.starts) - 1)
        index._keys, index._active = np.array(arrays.keys), np.array(arrays.active)
        index._alive = np.ones(n, np.bool_)
        index._main = Postings(n, np.array(arrays.starts), arrays.rows, arrays.weights)
        return index

    def _rows_of(self, keys: Keys) -> NDArray[np.int64]:
        """The rows of these keys, removed ones included; unknown keys are ignored."""
        keys = np.unique(np.asarray(keys, np.int64))
        rows = np.searchsorted(self._keys, keys)
        is_known = rows < len(self._keys)
        is_known[is_known] = self._keys[rows[is_known]] == keys[is_known]
        return rows[is_known]

    def _queries(self, queries: csr_matrix) -> Iterator[tuple[NDArray[np.int64], Weights]]:
        """The terms of each query, ascending, and their weights."""
        if queries.shape[1] != self.n_terms:
            raise ValueError(f"expected queries over {self.n_terms} terms, found {queries.shape[1]}")
        rows = canonical(queries)
        if not np.isfinite(rows.data).all():
            raise ValueError("a query's weights must be finite")
        for start, end in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
            yield rows.indices[start:end].astype(np.int64), rows.data[start:end]

    def _scores(self, terms: NDArray[np.int64], weights: Weights, scoring: Scoring) -> tuple[Weights, float]:
        """The score of every row, and the score that a match must exceed."""
        effective, factor = self._effective(terms, weights, scoring)
        scores = self._dot(terms, effective)
        if factor is not None:
            scores *= factor
        if (weights > 0).all() and (effective > 0).all():
            return scores, 0.0  # exactly the rows that share a term
        shared = self._dot(terms[weights > 0], np.ones(np.count_nonzero(weights > 0), np.float32))
        np.copyto(scores, -np.inf, where=shared == 0)
        return scores, -np.inf

    def _effective(
        self, terms: NDArray[np.int64], weights: Weights, scoring: Scoring
    ) -> tuple[Weights, Weights | None]:
        """As `ScoringStatistics.effective`; `dot` does not need the statistics."""
        check_scoring(scoring)
        return (weights, None) if scoring == "dot" else self._known().effective(scoring, terms, weights)

    def _dot(self, terms: NDArray[np.int64], query: Weights) -> Weights:
        main, tail = self.parts()
        of_main = main.dot(terms, query)
        return np.concatenate([of_main, tail.dot(terms, query)]) if tail.n else of_main

    def _known(self) -> ScoringStatistics:
        if self._statistics is None:
            lengths, activation = np.zeros(self.n_terms, np.int64), np.zeros(self.n_terms)
            for term in range(self.n_terms):
                _, weights = self.posted_rows(term)
                lengths[term], activation[term] = len(weights), weights.sum(dtype=np.float64)
            self._statistics = ScoringStatistics(len(self), lengths, activation, self._active, self.parts())
        return self._statistics
