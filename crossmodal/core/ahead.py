"""Calls a function in threads ahead of the use of its results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from crossmodal.core.machine import CORES

T = TypeVar("T")
R = TypeVar("R")

DECODERS = min(CORES, 8)
"""Threads that decode pictures; one of 12 megapixels takes up to 100 MB while it is decoded."""
MAX_BYTES = 128 << 20


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], *, threads: int, at_most: int, size: Callable[[T], int]
) -> Generator[R, None, None]:
    """The results of `function` for the items, in their order.

    Items are taken and calls are started until `at_most` calls, or calls with items of `MAX_BYTES` in total, wait for
    their results to be used. When the iterator is closed, calls that have not started are cancelled.

    Args:
        function: Called in one of the threads, or by the caller if there are none. An exception is raised in the place
            of the result.
        items: Taken in the caller's thread.
        threads: The number of threads; 0 in a process that will fork.
        at_most: The largest number of calls ahead.
        size: The bytes that an item holds or will read. For one of 0 bytes the caller calls the function.
    """
    if not threads:
        yield from map(function, items)
        return
    waiting: deque[tuple[Future[R], int]] = deque()
    held = 0
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            n_bytes = size(item)
            if not (n_bytes or waiting):  # no call is ahead of it, so its result need not wait either
                yield function(item)
                continue
            while waiting and (len(waiting) >= at_most or held + n_bytes > MAX_BYTES):
                future, of_first = waiting.popleft()
                held -= of_first
                yield future.result()
            waiting.append((pool.submit(function, item) if n_bytes else _done(function(item)), n_bytes))
            held += n_bytes
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _done(result: R) -> Future[R]:
    future: Future[R] = Future()
    future.set_result(result)
    return future
