"""The open resources of an Executor for the current and the previous generation of a collection."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from crossmodal.collection.collection import Collection
from crossmodal.collection.generations import generation_mark, is_generation
from crossmodal.collection.linked_workspace import state_of
from crossmodal.core.errors import CrossModalError, InputError

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_OPEN = 2
"""Generations that are open at the same time."""


class GenerationCache(Generic[T]):
    """Encoders, indexes or stores by generation; a new generation is opened while the old one is still used.

    The first Executor of a query stores the generation in the document, and the others use the same one, so that a
    query is never encoded by one model and searched among the vectors of another.
    """

    def __init__(
        self, collection: str, opened: Callable[[Collection], T], closed: Callable[[T], None] = lambda _: None
    ) -> None:
        """Opens the current generation.

        Args:
            collection: The folder of the collection.
            opened: Opens the resource of a generation.
            closed: Closes a resource.
        """
        self._root, self._opened, self._closed = Path(collection), opened, closed
        self._shared = state_of(self._root)
        self._mark = generation_mark(self._root)
        first = Collection.open(self._root)
        self._resources: dict[str, T] = {first.generation: opened(first)}
        self._current = first.generation
        self._lock, self._opening_lock = threading.Lock(), threading.Lock()
        self._opening: threading.Thread | None = None

    def current(self) -> tuple[str, T]:
        """The name of the current generation, and its resource."""
        self._shared.follow()
        mark = generation_mark(self._root)
        if mark != self._mark and (self._opening is None or not self._opening.is_alive()):
            self._mark = mark
            self._opening = threading.Thread(target=self._change, daemon=True)
            self._opening.start()
        with self._lock:  # prevents `_change` from closing the generation between the two reads
            return self._current, self._resources[self._current]

    def named(self, name: str) -> T:
        """The resource of a generation, opened if needed.

        Raises:
            InputError: `name` is not the name of a generation.
        """
        self.current()
        resource = self._resources.get(name)
        if resource is None and name and not is_generation(name):
            raise InputError(f"{name[:40]!r} is not the name of a generation")
        return self._open(name) if resource is None else resource

    def close(self) -> None:
        """Closes all resources."""
        if self._opening is not None:
            self._opening.join()
        for resource in self._resources.values():
            self._closed(resource)
        self._resources = {}

    def _change(self) -> None:
        """Switches to the current generation; if it can't be opened, the old one stays in use."""
        try:
            name = Collection.open(self._root).generation
            self._open(name)
        except (CrossModalError, OSError) as error:
            log.error("the new state of %s can't be opened, so the old one stays in use: %s", self._root, error)
            return
        with self._lock:
            self._current = name
            unused = [other for other in self._resources if other != name][: -(MAX_OPEN - 1)]
            for other in unused:
                self._closed(self._resources.pop(other))

    def _open(self, name: str) -> T:
        with self._opening_lock:  # not `_lock`: the current one is used meanwhile
            resource = self._resources.get(name)
            if resource is None:
                resource = self._opened(Collection.open_generation(self._root, name))
                with self._lock:
                    self._resources[name] = resource
            return resource
