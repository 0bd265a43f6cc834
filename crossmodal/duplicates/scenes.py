"""Pictures of the same scene: similar vectors, taken within minutes of each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Keys, Vectors
from crossmodal.duplicates.candidates import Neighbours, Rows
from crossmodal.store.protocol import Store

WITHIN_S = 300
"""Pictures of one scene were taken within this time, if it is known of both."""
_NEAR, _NEARER = 0.35, 0.1
"""Distances (1 - cosine) as parts of that of unrelated pictures: with the time of both, and without."""
_MOST_UNRELATED = 0.6
"""The largest cosine that is accepted as that of unrelated pictures, for collections of a single scene."""
_SAMPLED = 256


@dataclass(frozen=True)
class Cosines:
    """The lowest cosines of two pictures of one scene in a collection."""

    unrelated: float
    """The median of pairs of its pictures, which depends on the model."""

    @property
    def timed(self) -> float:
        """With both times known."""
        return 1 - _NEAR * (1 - self.unrelated)

    @property
    def untimed(self) -> float:
        """Without."""
        return 1 - _NEARER * (1 - self.unrelated)


def cosines_of(store: Store, keys: Keys) -> Cosines:
    """The cosines of a collection, from a sample of its pictures."""
    sampled = keys[np.linspace(0, len(keys) - 1, min(len(keys), _SAMPLED)).astype(int)]
    ids = [document.id for document in store.by_keys(sampled.tolist()).values()]
    vectors: Vectors = np.stack(list(store.vectors_of(ids).values()))
    pairs = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    return Cosines(min(_MOST_UNRELATED, float(np.median(pairs)) if len(pairs) else 0.0))


def times_of(store: Store, keys: Keys) -> NDArray[np.float64]:
    """When each picture was taken, in seconds of local time; NaN if it is not known."""
    taken = dict(store.tag_texts("image", ["taken"]))
    return np.array([_seconds(taken.get(key) or "") for key in keys.tolist()], np.float64)


def _seconds(taken: str) -> float:
    try:
        return float(np.datetime64(taken[:19], "s").astype(np.int64)) if len(taken) >= 19 else np.nan
    except ValueError:
        return np.nan


def scene_groups(
    near: Neighbours, times: NDArray[np.float64], cosines: Cosines, stands_for: Rows, left_out: NDArray[np.bool_]
) -> Iterator[list[int]]:
    """The rows of each scene. Each resembles the first, so a chain of similar pictures doesn't grow without end.

    Args:
        near: The nearest pictures of each.
        times: When they were taken (n,).
        cosines: The lowest cosines.
        stands_for: The rows (n,) of the pictures of which each is a version; only these are compared.
        left_out: The pictures (n,) to leave out.
    """
    n, k = near.rows.shape
    ones, others, found = np.repeat(np.arange(n), k), near.rows.ravel(), near.cosines.ravel()
    gaps = np.abs(times[ones] - times[others])
    is_near = np.where(np.isnan(gaps), found >= cosines.untimed, (gaps <= WITHIN_S) & (found >= cosines.timed))
    is_near &= (others >= 0) & ~left_out[ones] & ~left_out[others]
    ones, others = stands_for[ones[is_near]], stands_for[others[is_near]]
    edges = np.stack([np.concatenate([ones, others]), np.concatenate([others, ones])])
    edges = np.unique(edges[:, edges[0] != edges[1]], axis=1)
    firsts, starts = np.unique(edges[0], return_index=True)
    around = dict(zip(firsts.tolist(), np.split(edges[1], starts[1:]), strict=True)) if len(firsts) else {}
    taken: set[int] = set()
    for row in sorted(around, key=lambda row: (-len(around[row]), row)):
        members = [other for other in around[row].tolist() if other not in taken]
        if row not in taken and members:
            taken.update([row, *members])
            yield [row, *members]
