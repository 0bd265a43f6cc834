"""Memory for pixels that the processes of a Flow share.

The pixels of a picture are most of what is sent for it. A message with them is copied ten times from the normalizer
through the gateway to the encoder, a sixth of the processor time of indexing small pictures.
"""

import mmap
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from crossmodal.core.types import Pixels

if TYPE_CHECKING:
    from executors.schema import MediaDoc

MEMORY_BYTES = 64 << 20
"""Memory for pixels, which the system provides as it is used: some 40 MB of it when a folder is indexed."""
ABANDONED_S = 1800
"""Seconds after which a slot is used again although its pixels were not taken. By then their request has exceeded its
time limit, or its client has gone."""
NUMBERS = 2**31
"""Numbers of pixels are smaller, because the messages only have 32-bit integers."""


class PixelMemory:
    """Slots for the pixels of one picture each. Create it before the processes that share it are forked."""

    def __init__(self, slot_bytes: int, n_bytes: int = MEMORY_BYTES) -> None:
        """Reserves `n_bytes`, in slots of `slot_bytes`."""
        n_slots = max(1, n_bytes // slot_bytes)
        # Anonymous memory needs no name and no file that could remain.
        self._slots = np.frombuffer(mmap.mmap(-1, n_slots * slot_bytes), np.uint8).reshape(n_slots, slot_bytes)
        self._numbers, self._used_until_s = (np.frombuffer(mmap.mmap(-1, 8 * n_slots), np.int64) for _ in range(2))
        self._n_put = np.frombuffer(mmap.mmap(-1, 8), np.int64)
        self._lock = multiprocessing.Lock()

    def put(self, pixels: Pixels) -> int:
        """Copies pixels into a free slot; returns their number, from 1 on, or 0 if none is free or large enough."""
        n_slots, slot_bytes = self._slots.shape
        if pixels.nbytes > slot_bytes:
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
        self._slots[slot, : pixels.nbytes] = pixels.reshape(-1)
        return number

    def take(self, number: int, into: Pixels) -> None:
        """Copies pixels into an array of their shape, and frees their slot.

        Raises:
            RuntimeError: They were taken, or abandoned for so long that the slot has others.
        """
        slot = (number - 1) % len(self._slots)
        if self._numbers[slot] != number:
            raise RuntimeError("the pixels of a picture are gone, because its request took too long: send it again")
        into.reshape(-1)[:] = self._slots[slot, : into.nbytes]
        self._numbers[slot] = self._used_until_s[slot] = 0


_shared: PixelMemory | None = None


@contextmanager
def shared_pixels(size_px: int) -> Iterator[None]:
    """Processes that are forked in the block share memory for pixels of a model's input size."""
    global _shared
    _shared = PixelMemory(size_px * size_px * 3)
    try:
        yield
    finally:
        _shared = None


def send_pixels(doc: "MediaDoc", pixels: Pixels) -> None:
    """Puts pixels where `received_pixels` finds them: into the shared memory, or if it is full into the document."""
    doc.pixels_at = _shared.put(pixels) if _shared else 0
    doc.pixels = None if doc.pixels_at else pixels


def received_pixels(docs: Sequence["MediaDoc"], size_px: int) -> Pixels:
    """The pixels of documents, (n, size_px, size_px, 3) uint8; removes them from there."""
    pixels = np.empty((len(docs), size_px, size_px, 3), np.uint8)
    for doc, row in zip(docs, pixels, strict=True):
        if doc.pixels_at and _shared:
            _shared.take(doc.pixels_at, row)
        else:
            row[...] = np.asarray(doc.pixels, np.uint8)
        doc.pixels, doc.pixels_at = None, 0
    return pixels
