"""Pictures as weighted words, found through one posting list a word.

Every posting of a query's words is read, so the ranking is exact. With a million pictures that is about a
million additions a query, in place, one list after the other: a few milliseconds. The best k are chosen
by first looking at the greatest score of each small block.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import _sparsetools, csr_matrix, vstack  # type: ignore[import-untyped]

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.files import atomic_writer, checksum, write_atomically
from crossmodal.core.types import Keys

Scoring = Literal["dot", "activation-idf", "tf-idf"]
Weights = NDArray[np.float32]
BLOCK = 64
FILES = ("keys", "active", "starts", "rows", "weights")


@dataclass(frozen=True)
class Postings:
    """The posting lists of n pictures: of each term the rows that have it, ascending, and their weights.

    List t is `rows[starts[t]:starts[t + 1]]` (int32) and the same part of `weights` (float32, > 0).
    """

    n: int
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: Weights

    @classmethod
    def of(cls, pictures: csr_matrix) -> Postings:
        """The lists of an (n, n_terms) matrix without stored zeros."""
        lists = pictures.tocsc()
        return cls(
            pictures.shape[0],
            lists.indptr.astype(np.int64),
            lists.indices.astype(np.int32, copy=False),
            lists.data.astype(np.float32, copy=False),
        )

    def of_term(self, term: int) -> tuple[NDArray[np.int32], Weights]:
        """The posting list of a term."""
        start, end = self.starts[term : term + 2]
        return self.rows[start:end], self.weights[start:end]

    def dot(self, terms: NDArray[np.int64], query: Weights) -> Weights:
        """The sums (n,) of weight * query weight over `terms`, added up in their order."""
        sums = np.zeros(self.n, np.float32)
        for term, weight in zip(terms.tolist(), query, strict=True):
            _add(sums, *self.of_term(term), weight)
        return sums

    def norms(self, factors: Weights) -> Weights:
        """The L2 norm (n,) of each picture's weights * factors (n_terms,)."""
        squares = np.zeros(self.n, np.float32)
        for term, square in enumerate(np.square(factors)):
            rows, weights = self.of_term(term)
            _add(squares, rows, np.square(weights), square)
        return np.sqrt(squares)


@dataclass(frozen=True)
class PostingSummary:
    """What `analyse` prints of an index; pictures that were removed don't count.

    Attributes:
        posting_lengths: Pictures of each term, (n_terms,) int64.
        active_terms: Terms of each picture, by ascending key, (n,) int32.
        stored_bytes: Of the posting lists in memory or in their files.
    """

    posting_lengths: NDArray[np.int64]
    active_terms: NDArray[np.int32]
    stored_bytes: int

    @property
    def n_postings(self) -> int:
        """How many weights there are in all."""
        return int(self.posting_lengths.sum())

    @property
    def n_empty(self) -> int:
        """Terms no picture has."""
        return int((self.posting_lengths == 0).sum())


class _Statistics:
    """What the thesis's scorings know of the living pictures; made anew after each change."""

    def __init__(self, index: SparseIndex) -> None:
        self._index = index
        self.n = len(index)
        self.lengths = np.zeros(index.n_terms, np.int64)
        self.activation = np.zeros(index.n_terms)
        for term in range(index.n_terms):
            _, weights = index.postings(term)
            self.lengths[term], self.activation[term] = len(weights), weights.sum(dtype=np.float64)

    @cached_property
    def idf(self) -> NDArray[np.float64]:
        """ln((1 + n) / (1 + pictures of the term)) + 1, as in scikit-learn's `TfidfTransformer`."""
        values: NDArray[np.float64] = np.log((1 + self.n) / (1 + self.lengths)) + 1
        return values

    @cached_property
    def inverse_active(self) -> Weights:
        """1 / the active terms of each row, (n,); 1 for a picture without words."""
        return np.reciprocal(np.maximum(self._index._active, 1).astype(np.float32))

    @cached_property
    def inverse_lengths(self) -> Weights:
        """1 / the L2 norm of each row's TF-IDF vector, (n,); 0 for a picture without words."""
        idf = self.idf.astype(np.float32)
        norms = np.concatenate([part.norms(idf) for part in self._index.parts()])
        np.divide(1, norms, out=norms, where=norms > 0)
        return norms


class SparseIndex:
    """An inverted index of pictures over `n_terms` words. 8 bytes a posting, 13 a picture, 8 a word.

    Pictures that were added wait in a tail with lists of its own, which are made when they are first
    searched; those that were removed keep their postings. `compacted` makes one clean index of it all.
    Not for one thread that changes it while another searches it.
    """

    def __init__(self, n_terms: int) -> None:
        self.n_terms = n_terms
        self._keys: Keys = np.empty(0, np.int64)
        self._active = np.empty(0, np.int32)
        self._alive = np.empty(0, np.bool_)
        self._main = Postings.of(csr_matrix((0, n_terms), dtype=np.float32))
        self._waiting: list[csr_matrix] = []
        self._tail: Postings | None = None
        self._statistics: _Statistics | None = None

    def __len__(self) -> int:
        return int(np.count_nonzero(self._alive))

    @property
    def keys(self) -> Keys:
        """The key of each row, ascending; of the removed ones, too."""
        return self._keys

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Which rows are not removed."""
        return self._alive

    @property
    def n_tail(self) -> int:
        """Pictures that came since the index was compacted, the removed among them too."""
        return len(self._keys) - self._main.n

    @property
    def n_dead(self) -> int:
        """Removed pictures whose postings are still there."""
        return len(self._keys) - len(self)

    def add(self, keys: Keys, weights: csr_matrix) -> None:
        """Adds n pictures, each with its weight of every term.

        Args:
            keys: (n,) int64, ascending and greater than all that are there.
            weights: (n, n_terms), finite and not negative; a weight of 0 is no posting.

        Raises:
            ValueError: Keys or weights that are not so. Nothing is added.
        """
        keys = np.asarray(keys, np.int64)
        if weights.shape != (len(keys), self.n_terms):
            raise ValueError(f"expected ({len(keys)}, {self.n_terms}) weights, found {weights.shape}")
        if (np.diff(keys, prepend=self._keys[-1:]) <= 0).any():
            raise ValueError("keys must ascend and be greater than all that are there")
        rows = _clean(weights)
        if not (np.isfinite(rows.data) & (rows.data > 0)).all():
            raise ValueError(f"weights must be finite and not negative, found {rows.data.min()} to {rows.data.max()}")
        self._keys = np.concatenate([self._keys, keys])
        self._active = np.concatenate([self._active, np.diff(rows.indptr).astype(np.int32)])
        self._alive = np.concatenate([self._alive, np.ones(len(keys), np.bool_)])
        self._waiting.append(rows)
        self._tail = self._statistics = None

    def remove(self, keys: Keys) -> int:
        """Removes the pictures of these keys; returns how many were there."""
        rows = self._rows_of(keys)
        before = len(self)
        self._alive[rows] = False
        self._statistics = None
        return before - len(self)

    def search(
        self, queries: csr_matrix, k: int, allowed: Keys | None = None, scoring: Scoring = "dot"
    ) -> tuple[Weights, Keys]:
        """The k best pictures of each query, among those that share a term of positive weight with it.

        Args:
            queries: (q, n_terms) finite weights; a negative one is of a word to be avoided.
            k: How many, at least 1.
            allowed: If given, only pictures with these keys are found.
            scoring: `dot` sums weight * query weight. `activation-idf` sums query weight * weight / active
                terms of the picture * ln(pictures / (1 + sum of the term's weights)); the logarithm is
                negative for a term whose weights sum to more than there are pictures. `tf-idf` is the cosine
                of two TF-IDF vectors; the query's counts are its weights. The first search by one of these two
                after a change reads every posting.

        Returns:
            Scores (q, k), falling, and keys (q, k); equal scores by ascending key; where fewer are found
            the rest of a row is -1 with a score of -inf. Sums are in float32.

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

    def why(self, query: csr_matrix, key: int, scoring: Scoring = "dot") -> list[tuple[int, float]]:
        """What each shared term contributes to the score of a picture: they sum to it.

        Args:
            query: (1, n_terms), as for `search`.
            key: The picture.
            scoring: As for `search`.

        Returns:
            Term ids and contributions, the greatest first, equal ones by ascending id.

        Raises:
            InputError: The picture is not in the index.
        """
        rows = self._rows_of(np.array([key], np.int64))
        if not len(rows) or not self._alive[rows[0]]:
            raise InputError(f"there is no picture with the key {key} in the index")
        if query.shape[0] != 1:
            raise ValueError(f"expected one query, found {query.shape[0]}")
        [(terms, weights)] = self._queries(query)
        effective, of_row = self._effective(terms, weights, scoring)
        factor = 1.0 if of_row is None else float(of_row[rows[0]])
        found = []
        for term, weight in zip(terms.tolist(), effective.tolist(), strict=True):
            keys, of_pictures = self.postings(term)
            place = int(np.searchsorted(keys, key))
            if place < len(keys) and keys[place] == key:
                found.append((term, weight * float(of_pictures[place]) * factor))
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def postings(self, term: int) -> tuple[Keys, Weights]:
        """The pictures that have a term, by ascending key, and its weight in each."""
        rows, weights = self.posted_rows(term)
        return self._keys[rows], weights

    def posted_rows(self, term: int) -> tuple[NDArray[np.int64], Weights]:
        """As `postings`, with the rows of the pictures in `keys` instead of their keys."""
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
        """The t terms of a query (1, n_terms), and what each gives to the scores of n pictures, (n, t).

        A row sums to the picture's score; 0 where a picture has not the term, or is not there.
        """
        [(terms, weights)] = self._queries(query)
        effective, of_row = self._effective(terms, weights, scoring)
        given: Weights = self.weights_of(keys, terms) * effective
        if of_row is not None and len(of_row):
            given *= of_row[np.minimum(np.searchsorted(self._keys, keys), len(of_row) - 1)][:, None]
        return terms, given

    def weights_of(self, keys: Keys, terms: NDArray[np.int64]) -> Weights:
        """The weight of each of t terms in each of n pictures, (n, t); 0 where a picture lacks it, or is not there."""
        keys = np.asarray(keys, np.int64)
        rows = np.searchsorted(self._keys, keys)
        there = rows < len(self._keys)
        there[there] = (self._keys[rows[there]] == keys[there]) & self._alive[rows[there]]
        found = np.zeros((len(keys), len(terms)), np.float32)
        for start, part in zip((0, self._main.n), self.parts(), strict=True):
            mine = np.flatnonzero(there & (rows >= start) & (rows < start + part.n))
            for column, term in enumerate(terms.tolist()):
                posted, weights = part.of_term(term)
                places = np.searchsorted(posted, rows[mine] - start)
                has = places < len(posted)
                has[has] = posted[places[has]] == rows[mine][has] - start
                found[mine[has], column] = weights[places[has]]
        return found

    def widen(self, n_terms: int) -> None:
        """Makes room for more terms, which no picture has so far."""
        new = n_terms - self.n_terms
        if new < 0:
            raise ValueError(f"there are {self.n_terms} terms, {n_terms} would be fewer")
        main = self._main
        self._main = Postings(main.n, np.append(main.starts, np.full(new, main.starts[-1])), main.rows, main.weights)
        for rows in self._waiting:
            rows.resize((rows.shape[0], n_terms))
        self.n_terms, self._tail, self._statistics = n_terms, None, None

    def active_terms(self) -> NDArray[np.int32]:
        """How many terms each picture has, by ascending key."""
        return self._active[self._alive]

    def summary(self) -> PostingSummary:
        """Posting lengths, active terms of a picture, and bytes, as `analyse` prints them."""
        stored = sum(array.nbytes for p in self.parts() for array in (p.starts, p.rows, p.weights))
        return PostingSummary(self._known().lengths, self.active_terms(), stored)

    def parts(self) -> tuple[Postings, Postings]:
        """The lists of the compacted pictures, and those of the pictures that came after them."""
        if self._tail is None:
            if len(self._waiting) != 1:
                self._waiting = [vstack([csr_matrix((0, self.n_terms), dtype=np.float32), *self._waiting])]
            self._tail = Postings.of(self._waiting[0])
        return self._main, self._tail

    def compacted(self) -> SparseIndex:
        """The same pictures in a new index without a tail and without removed ones; this one stays as it is."""
        made = SparseIndex(self.n_terms)
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
        made._keys, made._active = self._keys[self._alive], self._active[self._alive]
        made._alive = np.ones(len(made._keys), np.bool_)
        made._main = Postings(len(made._keys), np.cumsum(starts), np.concatenate(rows), np.concatenate(weights))
        return made

    def save(self, folder: Path, stem: str) -> list[str]:
        """Writes the pictures, compacted, and returns the names of the files.

        They are arrays, `STEM.NAME.npy`, and last `STEM.json` with their checksums. Each gets its name once it
        is whole and on the disk. Give every save a stem of its own: then the index saved before stays whole.
        """
        whole = self.compacted() if self.n_tail or self.n_dead else self
        main = whole._main
        arrays: tuple[NDArray[Any], ...] = (whole._keys, whole._active, main.starts, main.rows, main.weights)
        folder.mkdir(parents=True, exist_ok=True)
        checksums = {}
        for name, array in zip(FILES, arrays, strict=True):
            path = folder / f"{stem}.{name}.npy"
            with atomic_writer(path) as file:
                np.save(file, array)
            checksums[path.name] = checksum(path)
        write_atomically(folder / f"{stem}.json", json.dumps(checksums, indent=1).encode())
        return [*checksums, f"{stem}.json"]

    @classmethod
    def load(cls, folder: Path, stem: str) -> SparseIndex:
        """Opens what `save` wrote; the posting lists stay in their files, mapped into memory.

        Raises:
            StateError: A file is missing or is not as it was written.
        """
        path = folder / f"{stem}.json"
        try:
            checksums = json.loads(path.read_bytes())
            named = [(folder / f"{stem}.{name}.npy", checksums[f"{stem}.{name}.npy"]) for name in FILES]
        except OSError as error:
            raise StateError(f"{path} can't be read: {error.strerror}; index the pictures again") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StateError(f"{path} is damaged; index the pictures again") from error
        keys, active, starts, rows, weights = (_read(*file) for file in named)
        index = cls(len(starts) - 1)
        index._keys, index._active = np.array(keys), np.array(active)
        index._alive = np.ones(len(keys), np.bool_)
        index._main = Postings(len(keys), np.array(starts), rows, weights)
        return index

    def _rows_of(self, keys: Keys) -> NDArray[np.int64]:
        """The rows of those keys that are, or were, in the index."""
        keys = np.unique(np.asarray(keys, np.int64))
        rows = np.searchsorted(self._keys, keys)
        there = rows < len(self._keys)
        there[there] = self._keys[rows[there]] == keys[there]
        return rows[there]

    def _queries(self, queries: csr_matrix) -> Iterator[tuple[NDArray[np.int64], Weights]]:
        """The terms of each query, ascending, and their weights."""
        if queries.shape[1] != self.n_terms:
            raise ValueError(f"expected queries over {self.n_terms} terms, found {queries.shape[1]}")
        rows = _clean(queries)
        if not np.isfinite(rows.data).all():
            raise ValueError("a query's weights must be finite")
        for start, end in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
            yield rows.indices[start:end].astype(np.int64), rows.data[start:end]

    def _scores(self, terms: NDArray[np.int64], weights: Weights, scoring: Scoring) -> tuple[Weights, float]:
        """The score of every row, and what it must exceed to be found."""
        effective, factor = self._effective(terms, weights, scoring)
        scores = self._dot(terms, effective)
        if factor is not None:
            scores *= factor
        if (weights > 0).all() and (effective > 0).all():
            return scores, 0.0  # exactly the rows that share a term
        shared = self._dot(terms[weights > 0], np.ones(np.count_nonzero(weights > 0), np.float32))
        np.copyto(scores, -np.inf, where=shared == 0)
        return scores, -np.inf

    def _effective(self, terms: NDArray[np.int64], weights: Weights, scoring: Scoring) -> tuple[Weights, Any]:
        """The query's weights under a scoring, and a factor (n,) float32 for each row, or None."""
        if scoring not in get_args(Scoring):
            raise InputError(f"there is no scoring {scoring!r}; there are {', '.join(get_args(Scoring))}")
        if scoring == "dot" or not len(self):
            return weights, None
        known = self._known()
        if scoring == "activation-idf":
            idf = np.log(known.n / (1 + known.activation[terms]))
            return (weights * idf).astype(np.float32), known.inverse_active
        idf = weights * known.idf[terms]
        return (idf / np.linalg.norm(idf) * known.idf[terms]).astype(np.float32), known.inverse_lengths

    def _dot(self, terms: NDArray[np.int64], query: Weights) -> Weights:
        main, tail = self.parts()
        of_main = main.dot(terms, query)
        return np.concatenate([of_main, tail.dot(terms, query)]) if tail.n else of_main

    def _known(self) -> _Statistics:
        if self._statistics is None:
            self._statistics = _Statistics(self)
        return self._statistics


def best_rows(scores: Weights, k: int, floor: float) -> NDArray[np.int64]:
    """The rows of the k greatest of (n,) scores above `floor`, falling; equal ones by ascending row.

    The k-th greatest of the blocks' maxima is at most the k-th greatest score, and nearly that: few rows
    are as great, and only they are sorted.

    >>> best_rows(np.array([0, 3, 1, 3], np.float32), 3, 0.0).tolist()
    [1, 3, 2]
    """
    n_blocks = len(scores) // BLOCK
    bound = floor
    if n_blocks >= k:
        maxima = scores[: n_blocks * BLOCK].reshape(BLOCK, n_blocks).max(axis=0)
        bound = float(np.partition(maxima, n_blocks - k)[n_blocks - k])
    rows = np.flatnonzero(scores >= bound if bound > floor else scores > floor)
    if len(rows) > k:
        values = scores[rows]
        least = np.partition(values, len(values) - k)[len(values) - k]
        better = rows[values > least]
        rows = np.concatenate([better, rows[values == least][: k - len(better)]])
    return rows[np.lexsort((rows, -scores[rows]))]


def _clean(weights: csr_matrix) -> csr_matrix:
    """A copy in float32 with each row's terms ascending and once, and no stored zeros."""
    made = csr_matrix(weights, dtype=np.float32, copy=True)
    made.sum_duplicates()
    made.eliminate_zeros()
    return made


def _add(sums: Weights, rows: NDArray[np.int32], weights: Weights, factor: np.float32) -> None:
    """Adds weights * factor to those rows of the sums, in place.

    This is the loop inside scipy's sparse products. Those themselves copy the list and make new sums each
    time, which takes several times as long.
    """
    ends, factors = np.array([0, len(rows)], np.int32), np.array([factor], np.float32)
    _sparsetools.csc_matvec(len(sums), 1, ends, rows, weights, factors, sums)


def _read(path: Path, expected: str) -> NDArray[Any]:
    try:
        found = checksum(path)
    except OSError as error:
        raise StateError(f"{path} can't be read: {error.strerror}; index the pictures again") from error
    if found != expected:
        raise StateError(f"{path} is damaged: its checksum is {found}, not {expected}; index the pictures again")
    array: NDArray[Any] = np.load(path, mmap_mode="r")
    return array
