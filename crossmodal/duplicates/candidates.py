"""Pairs of pictures that may be versions of one picture: near by their hashes, or by their vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Keys
from crossmodal.duplicates.fingerprints import Fingerprints
from crossmodal.duplicates.hashing import ORIENTATIONS, Floats, Hashes, distances, oriented
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.condition import Condition
from crossmodal.store.protocol import Store

N_NEAREST = 16
"""Nearest pictures by their vectors that are looked at."""
NEAR = 10
"""Hashes that differ in at most this number of bits are compared; those of different photographs differ in about 32."""
NEAR_WINDOW = 16
"""As `NEAR`, for near vectors, and between a picture and the windows of another one."""
_MOST = 8
"""Most pictures that one is compared with in each orientation by its hash."""
_VISITED = 64
"""Nodes of a graph that a search keeps: half of those of a search by users, because the nearest are found first."""
_BLOCK = 4_096

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """The nearest pictures of each picture by their vectors: rows (n, N_NEAREST), -1 for none, and cosines."""

    rows: Rows
    cosines: Floats


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows; the second picture is compared in an orientation, by its number in `ORIENTATIONS`."""

    ones: Rows  # (m,)
    others: Rows  # (m,)
    orientations: NDArray[np.int8]  # (m,)

    def part(self, places: Rows) -> Pairs:
        """The pairs at these places."""
        return Pairs(self.ones[places], self.others[places], self.orientations[places])

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """The pairs of all parts."""
        columns = [(part.ones, part.others, part.orientations) for part in parts]
        none = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int8)
        return cls(*(np.concatenate(column) for column in zip(none, *columns, strict=True)))


def neighbours(
    store: Store,
    index: VectorReplica,
    keys: Keys,
    condition: Condition | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Neighbours:
    """Searches the vector of each picture in the index of the collection.

    Args:
        store: The store.
        index: Its index of pictures.
        keys: The keys (n,) of the pictures, ascending; others are not returned.
        condition: The condition that the pictures meet, if they are not all.
        progress: Called with the number of further pictures.
    """
    rows = np.full((len(keys), N_NEAREST), -1, np.int64)
    cosines = np.full((len(keys), N_NEAREST), -1, np.float32)
    seq, is_all = 0, False
    while not is_all:
        changes = store.changes_after("image", seq, _BLOCK)
        assert changes is not None, "a page follows the page before it"
        seq, is_all = changes.last_seq, changes.is_all
        places, are_known = places_of(changes.added, keys)
        if are_known.any():
            found, near = index.search_where(changes.vectors[are_known], N_NEAREST + 1, condition, _VISITED)
            at = places[are_known]
            others, are_found = places_of(near, keys)
            others[~are_found | (others == at[:, None])] = -1
            order = np.argsort(others < 0, axis=1, kind="stable")[:, :N_NEAREST]  # the picture itself is last
            rows[at] = np.take_along_axis(others, order, 1)
            cosines[at] = np.where(rows[at] < 0, -1, np.take_along_axis(found, order, 1))
        progress(len(changes.added))
    return Neighbours(rows, cosines)


def places_of(some: Keys, keys: Keys) -> tuple[Rows, NDArray[np.bool_]]:
    """The places of keys of any shape in ascending keys, and which of them are there."""
    places = np.searchsorted(keys, some).clip(0, max(0, len(keys) - 1))
    are_there = keys[places] == some if len(keys) else np.zeros(some.shape, bool)
    return places.astype(np.int64), are_there


def candidate_pairs(prints: Fingerprints, near: Neighbours) -> Pairs:
    """The pairs worth aligning, each once; plain pictures are in none."""
    found = Pairs.joined([_of_vectors(prints, near), *_of_hashes(prints)])
    low, high = np.minimum(found.ones, found.others), np.maximum(found.ones, found.others)
    kept = (low != high) & ~prints.is_plain[low] & ~prints.is_plain[high]
    # A turn in one direction of the other picture is a turn in the other direction of the first.
    swapped = np.where(found.ones > found.others, INVERSES[found.orientations], found.orientations)
    unique = np.unique(np.stack([low, high, swapped])[:, kept], axis=1)
    return Pairs(unique[0], unique[1], unique[2].astype(np.int8))


INVERSES = np.array([0, 1, 2, 3, 4, 6, 5, 7])
"""For each orientation the number of the one that undoes it."""


def _of_vectors(prints: Fingerprints, near: Neighbours) -> Pairs:
    """Upright pairs of near vectors of which one resembles the other, or a part of it."""
    n, k = near.rows.shape
    ones, others = np.repeat(np.arange(n), k), near.rows.ravel()
    ones, others = ones[others >= 0], others[others >= 0]
    hashes, windows = prints.hashes, prints.windows
    nearest = np.minimum(
        distances(hashes[ones], hashes[others]),
        np.minimum(
            distances(hashes[ones, None], windows[others]).min(axis=1, initial=64),
            distances(windows[ones], hashes[others, None]).min(axis=1, initial=64),
        ),
    )
    ones, others = ones[nearest <= NEAR_WINDOW], others[nearest <= NEAR_WINDOW]
    return Pairs(ones, others, np.zeros(len(ones), np.int8))


def _of_hashes(prints: Fingerprints) -> Iterator[Pairs]:
    """Pairs whose hashes are near if the second picture is in an orientation, for each of them.

    Pictures with equal hashes are represented by the first one, so that many copies cost no more than a few.
    """
    _, firsts, classes = np.unique(prints.hashes, return_index=True, return_inverse=True)
    order = np.argsort(classes, kind="stable")
    is_next = classes[order][1:] == classes[order][:-1]
    star = np.stack([firsts[classes], np.arange(len(classes))])
    equal = np.concatenate([np.stack([order[:-1], order[1:]])[:, is_next], star], axis=1)
    yield Pairs(equal[0], equal[1], np.zeros(len(equal[0]), np.int8))
    rows = np.flatnonzero(~prints.is_plain[firsts])
    for number, (ones, others) in enumerate(_near(prints.hashes[firsts[rows]])):
        yield Pairs(firsts[rows[ones]], firsts[rows[others]], np.full(len(ones), number, np.int8))


def _near(hashes: Hashes) -> Iterator[tuple[Rows, Rows]]:
    """For each orientation, the rows of the `_MOST` nearest hashes of each, up to `NEAR` bits.

    Source: Norouzi, Punjani, Fleet 2012, Fast Search in Hamming Space with Multi-Index Hashing.
    """
    if not len(hashes):
        return
    index = faiss.IndexBinaryMultiHash(64, 4, 16)
    index.add(hashes.view(np.uint8).reshape(-1, 8))
    for number in range(len(ORIENTATIONS)):
        index.nflip = 1 if number == 0 else 0  # turned copies are rarely edited, too
        ones, others = [], []
        for at in range(0, len(hashes), _BLOCK):
            queries = oriented(hashes[at : at + _BLOCK], ORIENTATIONS[INVERSES[number]])
            limits, bits, found = index.range_search(queries.view(np.uint8).reshape(-1, 8), NEAR + 1)
            row = np.repeat(np.arange(len(queries)), limits[1:].astype(np.int64) - limits[:-1].astype(np.int64))
            order = np.lexsort((found, bits, row))
            rank = np.arange(len(row)) - limits.astype(np.int64)[row[order]]
            order = order[rank < _MOST + 1]  # one of them is the picture itself
            ones.append(row[order] + at)
            others.append(found[order])
        yield np.concatenate(ones), np.concatenate(others)
