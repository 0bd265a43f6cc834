"""Memory for pixels that processes share: slots, and what happens without a free one."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

import numpy as np
import pytest

from executors import pixel_memory
from executors.pixel_memory import ABANDONED_S, PixelMemory, received_pixels, send_pixels, shared_pixels
from executors.schema import MediaDoc

SIZE_PX = 8
SLOT_BYTES = SIZE_PX * SIZE_PX * 3


def pixels(value: int, size_px: int = SIZE_PX) -> np.ndarray[Any, Any]:
    return np.full((size_px, size_px, 3), value, np.uint8)


def taken(memory: PixelMemory, number: int) -> np.ndarray[Any, Any]:
    into = pixels(0)
    memory.take(number, into)
    return into


def test_another_process_takes_the_pixels_and_the_slot_is_used_again() -> None:
    memory = PixelMemory(SLOT_BYTES, 2 * SLOT_BYTES)
    receive, send = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")
    writer = context.Process(target=lambda: send.send([memory.put(pixels(value)) for value in (5, 6, 7)]))
    writer.start()
    first, second, third = receive.recv()
    writer.join()
    assert (first, second, third) == (1, 2, 0)  # there are two slots
    assert np.array_equal(taken(memory, second), pixels(6))
    assert memory.put(pixels(8)) == second
    assert np.array_equal(taken(memory, first), pixels(5))
    assert np.array_equal(taken(memory, second), pixels(8))


def test_threads_get_slots_of_their_own() -> None:
    memory = PixelMemory(SLOT_BYTES, 200 * SLOT_BYTES)
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda: numbers.extend(memory.put(pixels(1)) for _ in range(50))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 201))


def test_a_slot_whose_pixels_are_never_taken_is_used_again_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, now_s = PixelMemory(SLOT_BYTES, SLOT_BYTES), 1000.0
    monkeypatch.setattr(pixel_memory.time, "monotonic", lambda: now_s)
    assert memory.put(pixels(1)) == 1
    now_s += ABANDONED_S - 1
    assert memory.put(pixels(2)) == 0
    now_s += 2
    assert memory.put(pixels(3)) == 1
    assert np.array_equal(taken(memory, 1), pixels(3))


def test_pixels_that_are_too_large_for_a_slot_are_refused() -> None:
    assert PixelMemory(SLOT_BYTES).put(pixels(1, SIZE_PX + 1)) == 0


def test_pixels_travel_in_the_memory_or_without_it_in_the_document() -> None:
    docs = [MediaDoc(modality="image") for _ in range(3)]
    send_pixels(docs[0], pixels(1))
    with shared_pixels(SIZE_PX):
        send_pixels(docs[1], pixels(2))
        send_pixels(docs[2], pixels(3))
        assert [doc.pixels is None for doc in docs] == [False, True, True]
        sent = [MediaDoc.from_protobuf(doc.to_protobuf()) for doc in docs]
        assert np.array_equal(received_pixels(sent, SIZE_PX), [pixels(1), pixels(2), pixels(3)])
        assert all(doc.pixels is None and not doc.pixels_at for doc in sent)
        send_pixels(docs[0], pixels(4))  # the first slot is free again
        assert docs[0].pixels_at == docs[1].pixels_at
    send_pixels(docs[0], pixels(4))
    assert docs[0].pixels_at == 0
    assert np.array_equal(docs[0].pixels, pixels(4))
