"""A segment of a dense index: a FAISS index with the keys and the removal marks of its rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Keys, Vectors
from crossmodal.index.flat import FlatIndex, Rows, faiss_library
from crossmodal.index.kinds import BLOCK, FLAT, IndexKind, Take, copied, float16_rows
from crossmodal.index.rows import MemoryRows, RowSource, Scores, best

FEW = 1_000  # up to this number of allowed rows, all of them are scored exactly
GATHERED = 20_000  # the same limit if they are at most a quarter of the segment
SPARE = 2  # candidates to fetch, as a multiple of the expected number
MOST_CANDIDATES = 5_000  # above this number, scoring all allowed rows is faster


class Segment:
    """Vectors with ascending keys. Rows are only appended; removed rows are marked until a new segment is built."""

    def __init__(self, kind: IndexKind, index: Any, rows: RowSource | None, keys: Keys, n_trained: int = 0) -> None:
        """Stores an index and the keys of its rows.

        Args:
            kind: The kind of the index.
            index: A FAISS index, or a FlatIndex.
            rows: The vectors if the index does not store them row by row, else None.
            keys: (n,) int64, strictly ascending.
            n_trained: Number of vectors for which the index was trained.
        """
        self.kind, self.index, self.n_trained = kind, index, n_trained
        self.n, self.n_dead = len(keys), 0
        if rows is None:
            rows = index if isinstance(index, FlatIndex) else MemoryRows(_storage_of(index))
        self.rows = rows
        # There is always a spare last element, so that row -1, FAISS's missing result, has the key -1 and is not alive.
        self._keys, self._alive = np.full(self.n + 1, -1, np.int64), np.zeros(self.n + 1, bool)
        self._keys[: self.n], self._alive[: self.n] = keys, True

    @classmethod
    def build(cls, kind: IndexKind, dim: int, keys: Keys, take: Take) -> Segment:
        """A new segment of a kind with len(keys) vectors, which `take` returns."""
        n = len(keys)
        return cls(kind, kind.build(dim, n, take), _rows_beside(kind, dim, n, take), keys, n)

    @property
    def keys(self) -> Keys:
        """The keys (n,) of all rows, removed ones included."""
        return self._keys[: self.n]

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Whether each row is not removed, (n,)."""
        return self._alive[: self.n]

    def __len__(self) -> int:
        return self.n - self.n_dead

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors (m, dim) float32 of these rows."""
        return self.rows.take(rows).astype(np.float32, copy=False)

    def copy(self) -> Segment:
        """A copy in memory that accepts new vectors."""
        rows = _rows_beside(self.kind, self.index.d, self.n, self.vectors)
        part = Segment(self.kind, copied(self.index), rows, self.keys, self.n_trained)
        part.remove(self.keys[~self.alive])
        return part

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Appends rows; the segment must have been built or copied, not read from a file."""
        n = self.n + len(keys)
        if n >= len(self._keys):
            spare = n + 1 - self.n + n // 2
            self._keys = np.concatenate([self.keys, np.full(spare, -1, np.int64)])
            self._alive = np.concatenate([self.alive, np.zeros(spare, bool)])
        self._keys[self.n : n], self._alive[self.n : n] = keys, True
        self.index.add(vectors)
        if not self.kind.keeps_rows:
            assert isinstance(self.rows, MemoryRows)
            self.rows.index.add(vectors)
        self.n = n

    def remove(self, keys: Keys) -> int:
        """Marks the rows with these keys as removed; returns how many were not removed before."""
        rows = self._living(keys)
        self._alive[rows] = False
        self.n_dead += len(rows)
        return len(rows)

    def search(
        self, queries: Vectors, k: int, allowed: Keys | None = None, n_visited: int | None = None
    ) -> tuple[Scores, Keys]:
        """As `DenseIndex.search`, for the rows of this segment; `allowed` must be strictly ascending."""
        if allowed is None and not self.n_dead:
            scores, rows = self.kind.search(self.index, queries, self.kind.candidates(k), n_visited)
            if self.kind.is_rough or (rows[:, -1] < 0).any():
                scores, rows = self._rescored(queries, k, scores, rows, self._alive, min(k, self.n))
        else:
            scores, rows = self._search_allowed(queries, k, allowed)
        return scores, self._keys[rows]

    def _search_allowed(self, queries: Vectors, k: int, allowed: Keys | None) -> tuple[Scores, Rows]:
        """A search among a part of the rows, which fetches enough candidates for k allowed ones to be likely.

        FAISS's selectors are not used, because a graph search with a selector returns distant rows if the neighbourhood
        of the query is not allowed. The allowed rows among the best n rows are the best allowed ones.
        """
        rows = None if allowed is None else self._living(allowed)
        n_allowed = len(self) if rows is None else len(rows)
        n_candidates = self.kind.candidates(k)
        n_fetched = math.ceil(SPARE * n_candidates * self.n / max(n_allowed, 1))
        few = n_allowed <= max(FEW, min(GATHERED, self.n // 4))
        if few or (n_fetched > MOST_CANDIDATES and self.kind != FLAT):
            return best(queries, self.rows, np.flatnonzero(self.alive) if rows is None else rows, k)
        mask = self._alive
        if rows is not None:
            mask = np.zeros_like(self._alive)
            mask[rows] = True
        scores, candidates = self.kind.search(self.index, queries, min(n_fetched, self.n))
        return self._rescored(queries, k, scores, candidates, mask, min(n_candidates, n_allowed))

    def _rescored(
        self, queries: Vectors, k: int, scores: Scores, rows: Rows, mask: NDArray[np.bool_], least: int
    ) -> tuple[Scores, Rows]:
        """The k best of the candidates `rows` that are in the mask, by exact scores.

        A query with fewer than `least` such candidates is compared with all rows in the mask.
        """
        shape = (len(queries), k)
        best_scores, best_rows = np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int64)
        short = []
        for i in range(len(queries)):
            kept = np.flatnonzero(mask[rows[i]])[: self.kind.candidates(k)]
            if len(kept) < least:
                short.append(i)
            elif self.kind.is_rough:
                best_scores[i : i + 1], best_rows[i : i + 1] = best(queries[i : i + 1], self.rows, rows[i, kept], k)
            else:
                n = min(k, len(kept))
                best_scores[i, :n], best_rows[i, :n] = scores[i, kept[:n]], rows[i, kept[:n]]
        if short:
            best_scores[short], best_rows[short] = best(queries[short], self.rows, np.flatnonzero(mask[: self.n]), k)
        return best_scores, best_rows

    def _living(self, keys: Keys) -> Rows:
        """The rows with these keys that exist and are not removed; ascending, as the keys are."""
        rows = self.keys.searchsorted(keys)
        living: Rows = rows[(self._keys[rows] == keys) & self._alive[rows]]
        return living


def _storage_of(index: Any) -> Any:
    """The flat index with the vectors of a graph; any other index is returned unchanged."""
    return faiss_library().downcast_index(index.storage) if hasattr(index, "storage") else index


def _rows_beside(kind: IndexKind, dim: int, n: int, take: Take) -> MemoryRows | None:
    """The n vectors by row if the kind does not store them so, else None."""
    if kind.keeps_rows:
        return None
    index = float16_rows(dim)
    for start in range(0, n, BLOCK):
        index.add(take(np.arange(start, min(start + BLOCK, n))))
    return MemoryRows(index)
