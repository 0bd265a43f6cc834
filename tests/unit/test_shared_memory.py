"""Memory that processes share: slots, and what happens without a free one."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

import numpy as np
import pytest

from executors.schema import MediaDoc, to_array, to_bytes
from executors.shared_memory import (
    ABANDONED_S,
    THUMBNAIL_BYTES,
    SharedSlots,
    received_pixels,
    received_thumbnail,
    send_pixels,
    send_thumbnail,
    shared_memory,
)

SIZE_PX = 8
SLOT_BYTES = SIZE_PX * SIZE_PX * 3


def pixels(value: int, size_px: int = SIZE_PX) -> np.ndarray[Any, Any]:
    return np.full((size_px, size_px, 3), value, np.uint8)


def taken(memory: SharedSlots, number: int) -> np.ndarray[Any, Any]:
    with memory.taken(number) as values:
        return values.reshape(SIZE_PX, SIZE_PX, 3).copy()


def test_another_process_takes_the_pixels_and_the_slot_is_used_again() -> None:
    memory = SharedSlots(SLOT_BYTES, 2 * SLOT_BYTES)
    receive, send = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")
    writer = context.Process(target=lambda: send.send([memory.put(pixels(value)) for value in (5, 6, 7)]))
    writer.start()
    first, second, third = receive.recv()
    writer.join()
    assert [first > 0, second > 0, third > 0] == [True, True, False]  # there are two slots
    assert np.array_equal(taken(memory, second), pixels(6))
    fourth = memory.put(pixels(8))
    assert np.array_equal(taken(memory, first), pixels(5))
    with pytest.raises(RuntimeError, match="is gone"):
        taken(memory, second)
    assert np.array_equal(taken(memory, fourth), pixels(8))
    with pytest.raises(RuntimeError, match="is gone"):
        taken(memory, fourth)


def test_threads_get_slots_of_their_own() -> None:
    memory = SharedSlots(SLOT_BYTES, 200 * SLOT_BYTES)
    numbers: dict[int, int] = {}

    def put(first: int) -> None:
        numbers.update({memory.put(pixels(value)): value for value in range(first, first + 50)})

    threads = [threading.Thread(target=put, args=(50 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers.values()) == list(range(200))
    assert all(np.array_equal(taken(memory, number), pixels(value)) for number, value in numbers.items())


def test_numbers_stay_in_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executors.shared_memory.NUMBERS", 10)
    memory = SharedSlots(SLOT_BYTES, 2 * SLOT_BYTES)
    first = memory.put(pixels(255))
    for value in range(20):
        number = memory.put(pixels(value))
        assert 0 < number <= 10
        assert np.array_equal(taken(memory, number), pixels(value))
    assert np.array_equal(taken(memory, first), pixels(255))


def test_a_slot_whose_pixels_are_not_taken_is_used_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, now_s = SharedSlots(SLOT_BYTES, SLOT_BYTES), 1000.0
    monkeypatch.setattr("executors.shared_memory.time.monotonic", lambda: now_s)
    abandoned = memory.put(pixels(1))
    now_s += ABANDONED_S - 1
    assert memory.put(pixels(2)) == 0
    now_s += 2
    number = memory.put(pixels(3))
    with pytest.raises(RuntimeError, match="is gone"):
        taken(memory, abandoned)
    assert np.array_equal(taken(memory, number), pixels(3))


def test_pixels_that_are_too_large_for_a_slot_are_refused() -> None:
    for n_bytes in (SLOT_BYTES, SLOT_BYTES - 1):
        memory = SharedSlots(SLOT_BYTES, n_bytes)
        assert memory.put(pixels(1, SIZE_PX + 1)) == 0
        assert memory.put(pixels(1))


def test_pixels_travel_in_the_memory_or_without_it_in_the_document() -> None:
    docs = [MediaDoc(modality="image") for _ in range(3)]
    send_pixels(docs[0], pixels(1))
    with shared_memory(SIZE_PX):
        send_pixels(docs[1], pixels(2))
        send_pixels(docs[2], pixels(3))
        assert [doc.pixels is None for doc in docs] == [False, True, True]
        sent = [MediaDoc.from_protobuf(doc.to_protobuf()) for doc in docs]
        assert np.array_equal(received_pixels(sent, SIZE_PX), [pixels(1), pixels(2), pixels(3)])
        assert all(doc.pixels is None and not doc.pixels_at for doc in sent)
        send_pixels(docs[0], pixels(4))
        assert docs[0].pixels_at
    send_pixels(docs[0], pixels(4))
    assert docs[0].pixels_at == 0
    assert np.array_equal(np.asarray(docs[0].pixels), pixels(4))


def test_a_thumbnail_travels_in_the_memory_or_if_it_is_large_in_the_document() -> None:
    docs = [MediaDoc(modality="image") for _ in range(4)]
    jpegs = [b"small", b"s" * THUMBNAIL_BYTES, b"l" * (THUMBNAIL_BYTES + 1)]
    with shared_memory(SIZE_PX):
        for doc, jpeg in zip(docs, jpegs, strict=False):
            send_thumbnail(doc, to_array(jpeg))
        assert [doc.thumbnail is None for doc in docs] == [True, True, False, True]
        assert [bool(doc.thumbnail_at) for doc in docs] == [True, True, False, False]
        sent = [MediaDoc.from_protobuf(doc.to_protobuf()) for doc in docs]
        assert [to_bytes(received_thumbnail(doc)) for doc in sent[:3]] == jpegs
        assert received_thumbnail(sent[3]) is None
        with pytest.raises(RuntimeError, match="is gone"):
            received_thumbnail(sent[0])
    for receive in (received_thumbnail, lambda doc: received_pixels([doc], SIZE_PX)):
        with pytest.raises(RuntimeError, match="memory of other processes"):
            receive(MediaDoc(modality="image", thumbnail_at=1, pixels_at=1))
    send_thumbnail(docs[0], to_array(jpegs[1]))
    assert (docs[0].thumbnail_at, to_bytes(received_thumbnail(docs[0]))) == (0, jpegs[1])
