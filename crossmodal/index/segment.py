"""A segment of a dense index: a FAISS index, the keys of its rows, and which rows were removed."""

from __future__ import annotations

import math
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Keys, Vectors
from crossmodal.index.flat import FlatIndex, Rows
from crossmodal.index.kinds import BLOCK, FLAT, IndexKind, Take, copied, float16_rows
from crossmodal.index.rows import MemoryRows, RowSource, Scores, best

FEW = 1_000  # allowed rows up to which they are always scored one by one
GATHERED = 20_000  # the same, if they are at most a quarter of the segment
SPARE = 2  # candidates fetched, as a multiple of the expected need
MOST_CANDIDATES = 5_000  # above, scoring all allowed rows is faster


class Segment:
    """Rows with ascending keys. Rows are only appended; a removed one is marked dead until a new segment is built."""

    def __init__(self, kind: IndexKind, index: Any, rows: RowSource | None, keys: Keys, n_trained: int = 0) -> None:
        """Takes over an index and the keys of its rows.

        Args:
            kind: What the index is.
            index: A FAISS index, or a FlatIndex.
            rows: The vectors, where the index does not keep them as rows.
            keys: (n,) int64, strictly ascending.
            n_trained: How many vectors the index was trained for.
        """
        self.kind, self.index, self.n_trained = kind, index, n_trained
        self.n, self.n_dead = len(keys), 0
        if rows is None:
            rows = index if isinstance(index, FlatIndex) else MemoryRows(_storage_of(index))
        self.rows = rows
        # One place at least stays free behind the rows, so that row -1, FAISS's "none", is key -1 and not alive.
        self._keys, self._alive = np.full(self.n + 1, -1, np.int64), np.zeros(self.n + 1, bool)
        self._keys[: self.n], self._alive[: self.n] = keys, True

    @classmethod
    def build(cls, kind: IndexKind, dim: int, keys: Keys, take: Take) -> Segment:
        """A segment of that kind with len(keys) vectors, which `take` returns."""
        n = len(keys)
        return cls(kind, kind.build(dim, n, take), _rows_beside(kind, dim, n, take), keys, n)

    @property
    def keys(self) -> Keys:
        """(n,) the keys of all rows, removed ones included."""
        return self._keys[: self.n]

    @property
    def alive(self) -> NDArray[np.bool_]:
        """(n,) which rows are not removed."""
        return self._alive[: self.n]

    def __len__(self) -> int:
        return self.n - self.n_dead

    def vectors(self, rows: Rows) -> Vectors:
        """(m, dim) float32, of these rows."""
        return self.rows.take(rows).astype(np.float32, copy=False)

    def copy(self) -> Segment:
        """A copy in memory, which can be added to."""
        rows = _rows_beside(self.kind, self.index.d, self.n, self.vectors)
        part = Segment(self.kind, copied(self.index), rows, self.keys, self.n_trained)
        part.remove(self.keys[~self.alive])
        return part

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Appends rows to a segment that was built or copied, not read from a file."""
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
        """Marks the rows of these keys as removed; returns how many were not yet."""
        rows = self._living(keys)
        self._alive[rows] = False
        self.n_dead += len(rows)
        return len(rows)

    def search(self, queries: Vectors, k: int, allowed: Keys | None = None) -> tuple[Scores, Keys]:
        """As `DenseIndex.search`, of this part's rows; `allowed` strictly ascending."""
        if allowed is None and not self.n_dead:
            scores, rows = self.kind.search(self.index, queries, self.kind.candidates(k))
            if self.kind.is_rough or (rows[:, -1] < 0).any():
                scores, rows = self._settle(queries, k, scores, rows, self._alive, min(k, self.n))
        else:
            scores, rows = self._search_some(queries, k, allowed)
        return scores, self._keys[rows]

    def _search_some(self, queries: Vectors, k: int, allowed: Keys | None) -> tuple[Scores, Rows]:
        """A search among some of the rows: fetches so many candidates that enough of them are likely to be allowed.

        FAISS has selectors, but with one a graph search returns rows far from the query if its neighbourhood is not
        allowed. The allowed ones among the best n are the best allowed ones.
        """
        rows = None if allowed is None else self._living(allowed)
        n_allowed = len(self) if rows is None else len(rows)
        wanted = self.kind.candidates(k)
        n_fetched = math.ceil(SPARE * wanted * self.n / max(n_allowed, 1))
        few = n_allowed <= max(FEW, min(GATHERED, self.n // 4))
        if few or (n_fetched > MOST_CANDIDATES and self.kind != FLAT):
            return best(queries, self.rows, np.flatnonzero(self.alive) if rows is None else rows, k)
        mask = self._alive
        if rows is not None:
            mask = np.zeros_like(self._alive)
            mask[rows] = True
        scores, found = self.kind.search(self.index, queries, min(n_fetched, self.n))
        return self._settle(queries, k, scores, found, mask, min(wanted, n_allowed))

    def _settle(
        self, queries: Vectors, k: int, scores: Scores, rows: Rows, mask: NDArray[np.bool_], least: int
    ) -> tuple[Scores, Rows]:
        """The k best of the rows found that are in the mask, scored exactly.

        A query that has fewer than `least` of them is compared with all in the mask.
        """
        shape = (len(queries), k)
        settled_scores, settled = np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int64)
        short = []
        for i in range(len(queries)):
            kept = np.flatnonzero(mask[rows[i]])[: self.kind.candidates(k)]
            if len(kept) < least:
                short.append(i)
            elif self.kind.is_rough:
                settled_scores[i : i + 1], settled[i : i + 1] = best(queries[i : i + 1], self.rows, rows[i, kept], k)
            else:
                n = min(k, len(kept))
                settled_scores[i, :n], settled[i, :n] = scores[i, kept[:n]], rows[i, kept[:n]]
        if short:
            settled_scores[short], settled[short] = best(queries[short], self.rows, np.flatnonzero(mask[: self.n]), k)
        return settled_scores, settled

    def _living(self, keys: Keys) -> Rows:
        """The rows of those of these keys that are here and not dead; ascending, as the keys are."""
        rows = self.keys.searchsorted(keys)
        living: Rows = rows[(self._keys[rows] == keys) & self._alive[rows]]
        return living


def _storage_of(index: Any) -> Any:
    """The flat index that a graph keeps its vectors in; any other index as it is."""
    return faiss.downcast_index(index.storage) if hasattr(index, "storage") else index


def _rows_beside(kind: IndexKind, dim: int, n: int, take: Take) -> MemoryRows | None:
    """The n vectors as rows, for a kind that does not keep them so."""
    if kind.keeps_rows:
        return None
    index = float16_rows(dim)
    for start in range(0, n, BLOCK):
        index.add(take(np.arange(start, min(start + BLOCK, n))))
    return MemoryRows(index)
