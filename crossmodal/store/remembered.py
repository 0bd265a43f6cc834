"""Answers about a whole store, kept until its next commit."""

from __future__ import annotations

import threading
from collections.abc import Callable
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
        self._values: dict[str, Any] = {}

    def value(self, name: str, read: Callable[[], T]) -> T:
        """The value of a name, which `read` reads from the store unless it is known."""
        version = self._version()
        with self._lock:
            if version != self._seen:
                self._seen, self._values = version, {}
            if name in self._values:
                known: T = self._values.pop(name)
                self._values[name] = known  # the last used one is the last to be dropped
                return known
        value = read()
        with self._lock:
            if version == self._seen:
                self._values[name] = value
                if len(self._values) > MOST_VALUES:
                    del self._values[next(iter(self._values))]
        return value
