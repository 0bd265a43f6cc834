"""Calls ahead of the use of their results: in order, bounded, cancelled."""

from __future__ import annotations

import threading

import pytest

from crossmodal.core import ahead
from crossmodal.core.ahead import map_ahead


def one(_: int) -> int:
    return 1


@pytest.mark.parametrize("threads", [0, 3])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    first_waits = threading.Event()

    def function(item: int) -> int:
        if threads and item == 0:
            first_waits.wait(10)
        elif item == 5:
            first_waits.set()
        return item * item

    assert list(map_ahead(function, range(50), threads=threads, at_most=8, size=one)) == [n * n for n in range(50)]


@pytest.mark.parametrize(("at_most", "size"), [(8, 1), (1000, ahead.MAX_BYTES // 8)])
def test_no_more_items_are_taken_than_may_wait(at_most: int, size: int) -> None:
    taken: list[int] = []

    def take(item: int) -> int:
        taken.append(item)
        return item

    results = map_ahead(str, map(take, range(100)), threads=2, at_most=at_most, size=lambda _: size)
    assert all(len(taken) <= n_used + 8 for n_used, _ in enumerate(results, 1))


def test_an_item_larger_than_the_limit_waits_alone() -> None:
    results = map_ahead(str, range(3), threads=2, at_most=8, size=lambda _: 2 * ahead.MAX_BYTES)
    assert list(results) == ["0", "1", "2"]


def test_an_item_of_no_bytes_is_called_by_the_caller() -> None:
    threads = list(map_ahead(lambda _: threading.current_thread(), range(2), threads=1, at_most=8, size=lambda n: n))
    assert [thread is threading.current_thread() for thread in threads] == [True, False]


def test_an_error_is_raised_in_its_place_and_ends_the_calls() -> None:
    called = []

    def function(item: int) -> int:
        called.append(item)
        return 1 // (item - 3)

    results = map_ahead(function, range(1000), threads=1, at_most=4, size=one)
    assert [next(results), next(results), next(results)] == [-1, -1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(called) <= 3 + 1 + 4
