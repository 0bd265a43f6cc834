"""Memory for pixels that the processes of a Flow share.

The pixels of a picture are most of what is sent for it. A message with them is copied ten times from the normalizer
through the gateway to the encoder, a fifth of the processor time of indexing small pictures.
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
"""Memory for pixels, which the system provides as it is used: some 30 MB of it when a folder is indexed."""
ABANDONED_S = 3600
"""Seconds after which a slot is used again, although its pixels were not taken: longer than any time limit of a
request, which is then lost, for example because its client has gone."""


class PixelMemory:
    """Slots for the pixels of one picture each. Create it before the processes that share it are forked."""

    def __init__(self, slot_bytes: int, n_bytes: int = MEMORY_BYTES) -> None:
        """Reserves `n_bytes`, in slots of `slot_bytes`."""
        n_slots = n_bytes // slot_bytes
        # Anonymous memory needs no name, no file that could remain, and no room in /dev/shm.
        self._slots = np.frombuffer(mmap.mmap(-1, n_bytes), np.uint8)[: n_slots * slot_bytes].reshape(n_slots, -1)
        self._used_until_s = np.frombuffer(mmap.mmap(-1, 8 * n_slots), np.int64)
        self._lock = multiprocessing.Lock()

    def put(self, pixels: Pixels) -> int:
        """Copies pixels into a free slot; returns its number, from 1 on, or 0 if none is free or large enough."""
        if pixels.nbytes > self._slots.shape[1]:
            return 0
        now_s = int(time.monotonic()) + 1
        with self._lock:
            free = np.flatnonzero(self._used_until_s < now_s)
            if not free.size:
                return 0
            slot = int(free[0])  # the lowest, whose memory has been used before
            self._used_until_s[slot] = now_s + ABANDONED_S
        self._slots[slot, : pixels.nbytes] = pixels.reshape(-1)
        return slot + 1

    def take(self, number: int, into: Pixels) -> None:
        """Copies the pixels of a slot into an array of their shape, and frees the slot."""
        into.reshape(-1)[:] = self._slots[number - 1, : into.nbytes]
        self._used_until_s[number - 1] = 0


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
