"""Pictures of the same scene: similar vectors, taken within minutes of each other, or else in similar colours."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crossmodal.core.types import Keys, Vectors
from crossmodal.duplicates.candidates import Neighbours, Rows
from crossmodal.duplicates.fingerprints import of_thumbnails
from crossmodal.duplicates.hashing import SIDE, Floats
from crossmodal.store.protocol import Store

WITHIN_S = 300
"""Pictures of one scene were taken within this time, if it is known of both."""
_NEAR, _NEARER = 0.35, 0.15
"""Distances (1 - cosine) as parts of that of unrelated pictures: with the time of both, and without."""
_SAME_COLOURS = 0.7
"""The share of the pixels that two pictures of one scene have in the same colours, if a time is not known: vectors of
two zebras are as near as those of two pictures of one zebra."""
_SHADES = 6
"""Of red, green and blue in a histogram."""
_BLOCK = 1_000
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
    near: Neighbours,
    times: NDArray[np.float64],
    cosines: Cosines,
    stands_for: Rows,
    left_out: NDArray[np.bool_],
    colours: Callable[[Rows], Floats],
) -> Iterator[list[int]]:
    """The rows of each scene. Each resembles the first, so a chain of similar pictures doesn't grow without end.

    Args:
        near: The nearest pictures of each.
        times: When they were taken (n,).
        cosines: The lowest cosines.
        stands_for: The rows (n,) of the pictures of which each is a version; only these are compared.
        left_out: The pictures (n,) to leave out.
        colours: The histograms of the colours of pictures, by their rows.
    """
    n, k = near.rows.shape
    ones, others, found = np.repeat(np.arange(n), k), near.rows.ravel(), near.cosines.ravel()
    gaps = np.abs(times[ones] - times[others])
    is_near = np.where(np.isnan(gaps), found >= cosines.untimed, (gaps <= WITHIN_S) & (found >= cosines.timed))
    is_near &= (others >= 0) & ~left_out[ones] & ~left_out[others]
    untimed = np.flatnonzero(is_near & np.isnan(gaps))
    is_near[untimed] = _share_colours(ones[untimed], others[untimed], colours)
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


def _share_colours(ones: Rows, others: Rows, colours: Callable[[Rows], Floats]) -> NDArray[np.bool_]:
    """Whether the pictures of each pair have the same colours."""
    rows, places = np.unique(np.concatenate([ones, others]), return_inverse=True)
    of = colours(rows)
    first, second = np.split(places, 2)
    blocks = [slice(at, at + _BLOCK) for at in range(0, len(ones), _BLOCK)]
    shares = [np.minimum(of[first[block]], of[second[block]]).sum(1) for block in blocks]
    return np.concatenate([np.empty(0, np.float32), *shares]) >= _SAME_COLOURS


def colours_of(store: Store, keys: Keys) -> Floats:
    """The histograms (n, 216) of the thumbnails, each with the sum 1; without a readable thumbnail 0."""
    found = np.zeros((len(keys), _SHADES**3), np.float32)
    for at in range(0, len(keys), _BLOCK):
        block = keys[at : at + _BLOCK].tolist()
        for row, histogram in enumerate(of_thumbnails(store, block, _histogram), at):
            found[row] = histogram
    return found


def _histogram(thumbnail: bytes) -> Floats | float:
    try:
        with Image.open(io.BytesIO(thumbnail)) as picture:
            picture.draft("RGB", (SIDE, SIDE))
            small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    except OSError:  # damaged; `verify` reads the picture itself
        return 0.0
    shades = np.asarray(small).astype(np.int64) * _SHADES // 256
    counts = np.bincount((shades @ (_SHADES**2, _SHADES, 1)).ravel(), minlength=_SHADES**3)
    return (counts / SIDE**2).astype(np.float32)
