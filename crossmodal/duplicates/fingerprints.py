"""The perceptual hashes of all pictures of a collection: a file beside the store that follows it.

Like an index it is a cache. A picture never changes under its key, so only new keys are read; without the file, or if
it is damaged, the hashes are computed again from the thumbnails in the store.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from crossmodal.collection.shared_state import HASHES
from crossmodal.core.ahead import DECODERS, map_ahead
from crossmodal.core.arrays import arrays_in
from crossmodal.core.os_errors import read_failure
from crossmodal.core.types import Keys
from crossmodal.duplicates.hashing import N_WINDOWS, SIDE, Hashes, Squares, hashes_of, square_of, windows_of
from crossmodal.store.protocol import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

PLAIN = 6.0
"""Pictures whose grey values deviate by less than this from their mean have no details to compare."""
_BLOCK = 1_000


@dataclass(frozen=True)
class Fingerprints:
    """Pictures by key with their hashes, at a state of a store."""

    keys: Keys  # (n,), ascending
    hashes: Hashes  # (n,)
    windows: Hashes  # (n, N_WINDOWS)
    is_plain: NDArray[np.bool_]  # (n,), nearly of one colour, or without a readable thumbnail
    last_seq: int = 0
    epoch: int = 0
    store_id: str = ""

    @classmethod
    def none(cls) -> Fingerprints:
        """No pictures."""
        return cls(*_hashed(np.empty(0, np.int64), np.empty((0, SIDE, SIDE), np.uint8)))

    def to_bytes(self) -> bytes:
        """The content of the file."""
        content = io.BytesIO()
        np.savez(
            content,
            keys=self.keys,
            hashes=self.hashes,
            windows=self.windows,
            is_plain=self.is_plain,
            last_seq=np.array(self.last_seq),
            epoch=np.array(self.epoch),
            store_id=np.array(self.store_id),
        )
        return content.getvalue()

    def among(self, keys: Keys) -> Fingerprints:
        """The fingerprints of the pictures with these keys."""
        kept = np.isin(self.keys, keys, assume_unique=True)
        columns = self.keys[kept], self.hashes[kept], self.windows[kept], self.is_plain[kept]
        return Fingerprints(*columns, self.last_seq, self.epoch, self.store_id)

    def followed(self, store: Store, progress: Callable[[int], None] = lambda _: None) -> Fingerprints:
        """The fingerprints of the pictures that are in the store now; this object if it has not changed.

        Args:
            store: The store, or a later state of it.
            progress: Called with the number of further pictures that were read.
        """
        changes = store.changes_after("image", self.last_seq, 1, epoch=self.epoch, with_vectors=False)
        known = self
        if changes is None or self.last_seq > store.last_seq() or self.store_id != store.store_id():
            known = Fingerprints.none()
        elif self.last_seq == store.last_seq():
            return self
        return known._with_new(store, progress)

    def _with_new(self, store: Store, progress: Callable[[int], None]) -> Fingerprints:
        last_seq, start = store.last_seq(), store.changes_after("image", 0, 1, with_vectors=False)
        assert start is not None, "changes from sequence number 0 on are always complete"
        now = store.keys("image")
        known = self.among(now)
        parts = [(known.keys, known.hashes, known.windows, known.is_plain)]
        new = np.setdiff1d(now, self.keys, assume_unique=True)
        for at in range(0, len(new), _BLOCK):
            block = new[at : at + _BLOCK]
            parts.append(_hashed(block, squares(store, block)))
            progress(len(block))
        keys, hashes, windows, is_plain = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(keys)
        columns = keys[order], hashes[order], windows[order], is_plain[order]
        return Fingerprints(*columns, last_seq, start.epoch, store.store_id())


def _hashed(keys: Keys, of: Squares) -> tuple[Keys, Hashes, Hashes, NDArray[np.bool_]]:
    return keys, hashes_of(of), windows_of(of), _variances(of) < PLAIN**2


def _variances(of: Squares) -> NDArray[np.float64]:
    """The variance (n,) of each square's values, from sums of integers: `var` copies each square several times."""
    values = of.reshape(len(of), SIDE**2)
    sums = values.sum(1, dtype=np.int64)
    of_squares = np.einsum("ni,ni->n", values, values, dtype=np.int64)
    variances: NDArray[np.float64] = (of_squares - sums * sums / SIDE**2) / SIDE**2
    return variances


def read_fingerprints(folder: Path) -> Fingerprints:
    """The fingerprints in a collection's folder; those of no picture if there are none or they are damaged."""
    path = folder / HASHES
    try:
        arrays = arrays_in(path.read_bytes())
        keys, hashes = arrays["keys"].astype(np.int64), arrays["hashes"].astype(np.uint64)
        windows, is_plain = arrays["windows"].astype(np.uint64), arrays["is_plain"].astype(bool)
        if not (hashes.shape == is_plain.shape == keys.shape and windows.shape == (len(keys), N_WINDOWS)):
            raise ValueError(f"{len(keys)} keys, hashes of shape {hashes.shape} and {windows.shape}")
        last_seq, epoch, store_id = int(arrays["last_seq"]), int(arrays["epoch"]), str(arrays["store_id"])
        return Fingerprints(keys, hashes, windows, is_plain, last_seq, epoch, store_id)
    except FileNotFoundError:
        return Fingerprints.none()
    except (ValueError, KeyError, OSError) as error:
        log.warning("%s %s: the hashes are computed again", path, read_failure(error, path))
        return Fingerprints.none()


def squares(store: Store, keys: Keys) -> Squares:
    """The squares (n, SIDE, SIDE) of the pictures with these keys; black without a readable thumbnail."""
    found = np.zeros((len(keys), SIDE, SIDE), np.uint8)
    for row, square in enumerate(of_thumbnails(store, keys.tolist(), _square_or_black)):
        found[row] = square
    return found


def of_thumbnails(store: Store, keys: Sequence[int], function: Callable[[bytes], T]) -> Iterator[T]:
    """The results of a function for the thumbnail of each picture, in order; b"" for a picture that has none."""
    thumbnails = store.thumbnails(keys)
    each = (thumbnails.get(key, b"") for key in keys)
    return map_ahead(function, each, threads=DECODERS, at_most=64, size=len)


def _square_or_black(thumbnail: bytes) -> NDArray[np.uint8] | int:
    try:
        return square_of(thumbnail)
    except OSError:  # none, or damaged; `verify` reads the picture itself
        return 0
