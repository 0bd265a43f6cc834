"""Answers about a whole store, kept until its next commit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
MOST_VALUES = 8
"""One for each condition in use; the keys of a million documents are 8 MB."""


class Remembered:
    """The values that were used last, as long as the store does not change; shared by threads.

    They must not be modified.
    """

    def __init__(self, version: Callable[[], tuple[int, int]]) -> None:
        """Takes `Store.data_version`."""
        self._version = version
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._values: dict[str, Future[Any]] = {}

    def value(self, name: str, read: Callable[[], T]) -> T:
        """The value of a name, which `read` reads from the store unless it is known.

        A thread that asks for a value while another one reads it waits for that one, and gets its error if it fails.
        """
        version = self._version()
        with self._lock:
            if version != self._seen:
                self._seen, self._values = version, {}
            known = self._values.pop(name, None)
            value: Future[T] = Future() if known is None else known
            self._values[name] = value  # the last used one is the last to be dropped
            if len(self._values) > MOST_VALUES:
                del self._values[next(iter(self._values))]
        if known is None:
            self._read(name, value, read)
        return value.result()

    def _read(self, name: str, value: Future[T], read: Callable[[], T]) -> None:
        try:
            value.set_result(read())
        except BaseException as error:  # noqa: BLE001 -- `result` raises it in all threads that wait
            with self._lock:
                if self._values.get(name) is value:
                    del self._values[name]
            value.set_exception(error)
