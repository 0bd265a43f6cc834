"""Memory that the processes of a Flow share, for pixels and thumbnails.

They are most of what is sent for a picture that has a file. A message is copied ten times on its way from one Executor
through the gateway to the next, which took a fifth of the processor time of indexing small pictures (ADR 21).
"""

import mmap
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Pixels

if TYPE_CHECKING:
    from executors.schema import MediaDoc

PIXELS_BYTES = 64 << 20
"""Memory for pixels, which the system provides as it is used: some 40 MB of it when a folder is indexed."""
THUMBNAILS_BYTES, THUMBNAIL_BYTES = 16 << 20, 32 << 10
"""Memory for thumbnails, and for one; those of photographs have 5 to 20 kB."""
ABANDONED_S = 1800
"""Seconds after which a slot is used again although its content was not taken. By then the request has exceeded its
time limit, or its client has gone."""
NUMBERS = 2**31
"""Numbers are smaller, because the messages only have 32-bit integers."""


class SharedSlots:
    """Slots for an array each. Create it before the processes that share it are forked."""

    def __init__(self, slot_bytes: int, n_bytes: int) -> None:
        """Reserves `n_bytes`, in slots of `slot_bytes`."""
        n_slots = max(1, n_bytes // slot_bytes)
        # Anonymous memory needs no name and no file that could remain.
        self._slots = np.frombuffer(mmap.mmap(-1, n_slots * slot_bytes), np.uint8).reshape(n_slots, slot_bytes)
        self._numbers, self._lengths, self._used_until_s = (
            np.frombuffer(mmap.mmap(-1, 8 * n_slots), np.int64) for _ in range(3)
        )
        self._n_put = np.frombuffer(mmap.mmap(-1, 8), np.int64)
        self._lock = multiprocessing.Lock()

    def put(self, values: NDArray[np.uint8]) -> int:
        """Copies an array into a free slot; returns its number, from 1 on, or 0 if none is free or large enough."""
        n_slots, slot_bytes = self._slots.shape
        if values.nbytes > slot_bytes:
            return 0
        now_s = int(time.monotonic()) + 1
        with self._lock:
            free = np.flatnonzero(self._used_until_s < now_s)
            if not free.size:
                return 0
            slot = int(free[0])  # the lowest, whose memory has been used before
            self._n_put[0] += 1
            number = 1 + slot + n_slots * int(self._n_put[0] % (NUMBERS // n_slots - 1))
            self._numbers[slot], self._used_until_s[slot] = number, now_s + ABANDONED_S
        self._lengths[slot] = values.size
        self._slots[slot, : values.size] = values.reshape(-1)
        return number

    @contextmanager
    def taken(self, number: int) -> Iterator[NDArray[np.uint8]]:
        """The values of an array (n,), for the block; frees its slot.

        Raises:
            RuntimeError: It was taken, or abandoned for so long that the slot has another.
        """
        slot = (number - 1) % len(self._slots)
        if self._numbers[slot] != number:
            raise RuntimeError("a picture on its way is gone, because its request took too long: send it again")
        try:
            yield self._slots[slot, : self._lengths[slot]]
        finally:
            self._numbers[slot] = self._used_until_s[slot] = 0


class _Shared(NamedTuple):
    pixels: SharedSlots
    thumbnails: SharedSlots


_shared: _Shared | None = None


@contextmanager
def shared_memory(size_px: int) -> Iterator[None]:
    """Processes that are forked in the block share memory, for pixels of a model's input size."""
    global _shared
    _shared = _Shared(SharedSlots(size_px * size_px * 3, PIXELS_BYTES), SharedSlots(THUMBNAIL_BYTES, THUMBNAILS_BYTES))
    try:
        yield
    finally:
        _shared = None


def _memory() -> _Shared:
    if _shared is None:
        raise RuntimeError("a picture is in the memory of other processes: start all Executors of a Flow together")
    return _shared


def send_pixels(doc: "MediaDoc", pixels: Pixels) -> None:
    """Puts pixels where `received_pixels` finds them: into the shared memory, or if it is full into the document."""
    doc.pixels_at = _shared.pixels.put(pixels) if _shared else 0
    doc.pixels = None if doc.pixels_at else pixels


def received_pixels(docs: Sequence["MediaDoc"], size_px: int) -> Pixels:
    """The pixels of documents, (n, size_px, size_px, 3) uint8; removes them from there."""
    pixels = np.empty((len(docs), size_px, size_px, 3), np.uint8)
    for doc, row in zip(docs, pixels, strict=True):
        if doc.pixels_at:
            with _memory().pixels.taken(doc.pixels_at) as values:
                row.reshape(-1)[:] = values
        else:
            row[...] = np.asarray(doc.pixels, np.uint8)
        doc.pixels, doc.pixels_at = None, 0
    return pixels


def send_thumbnail(doc: "MediaDoc", jpeg: NDArray[np.uint8]) -> None:
    """Puts a thumbnail, (n_bytes,), where `received_thumbnail` finds it, as `send_pixels`."""
    doc.thumbnail_at = _shared.thumbnails.put(jpeg) if _shared else 0
    doc.thumbnail = None if doc.thumbnail_at else jpeg


def received_thumbnail(doc: "MediaDoc") -> NDArray[np.uint8] | None:
    """The thumbnail of a document, (n_bytes,), None without one; can be called once."""
    if doc.thumbnail_at:
        with _memory().thumbnails.taken(doc.thumbnail_at) as values:
            return values.copy()
    return doc.thumbnail
