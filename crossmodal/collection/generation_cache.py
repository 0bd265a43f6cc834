"""What an Executor has open for the current generation of a collection, and for the previous one."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from crossmodal.collection.collection import Collection
from crossmodal.collection.generations import generation_mark, is_generation
from crossmodal.core.errors import CrossModalError, InputError

log = logging.getLogger(__name__)
T = TypeVar("T")
HELD = 2


class GenerationCache(Generic[T]):
    """Encoders, indexes or stores by generation; a new generation is opened while the old one serves.

    The first Executor of a query writes the generation on the document, and the others use that one. So no query is
    encoded by one model and searched among the vectors of another.
    """

    def __init__(
        self, collection: str, opened: Callable[[Collection], T], closed: Callable[[T], None] = lambda _: None
    ) -> None:
        """Opens the current generation.

        Args:
            collection: The folder of the collection.
            opened: Opens the resource of a generation.
            closed: Closes it.
        """
        self._root, self._opened, self._closed = Path(collection), opened, closed
        self._mark = generation_mark(self._root)
        first = Collection.open(self._root)
        self._held: dict[str, T] = {first.generation: opened(first)}
        self._current = first.generation
        self._lock = threading.RLock()
        self._opening: threading.Thread | None = None

    def current(self) -> tuple[str, T]:
        """The name of the current generation, and its resource."""
        mark = generation_mark(self._root)
        if mark != self._mark and (self._opening is None or not self._opening.is_alive()):
            self._mark = mark
            self._opening = threading.Thread(target=self._change, daemon=True)
            self._opening.start()
        with self._lock:  # so that `_change` can't close the generation between the two reads
            return self._current, self._held[self._current]

    def named(self, name: str) -> T:
        """The resource of a generation, opened if needed.

        Raises:
            InputError: It is no name of a generation.
        """
        self.current()
        held = self._held.get(name)
        if held is None and name and not is_generation(name):
            raise InputError(f"{name[:40]!r} names no generation")
        return self._open(name) if held is None else held

    def close(self) -> None:
        """Closes everything."""
        if self._opening is not None:
            self._opening.join()
        for held in self._held.values():
            self._closed(held)
        self._held = {}

    def _change(self) -> None:
        """Switches to the current generation; if it can't be opened, the old one keeps serving."""
        try:
            name = Collection.open(self._root).generation
            self._open(name)
        except (CrossModalError, OSError) as error:
            log.error("the new state of %s can't be opened, the old one is served on: %s", self._root, error)
            return
        with self._lock:
            self._current = name
            unused = [held for held in self._held if held != name][: -(HELD - 1)]
            for old in unused:
                self._closed(self._held.pop(old))

    def _open(self, name: str) -> T:
        with self._lock:
            if name not in self._held:
                self._held[name] = self._opened(Collection.open_generation(self._root, name))
            return self._held[name]
