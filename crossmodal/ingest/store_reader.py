"""Opens a collection's store for reading on demand."""

from __future__ import annotations

from crossmodal.collection.collection import Collection
from crossmodal.store.protocol import Store


class StoreReader:
    """Opens the store of a collection on first use, and again after each `release`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._opened: Store | None = None

    @property
    def store(self) -> Store:
        """The collection's store, open for reading until `release`."""
        if self._opened is None:
            self._opened = self._collection.store()
        return self._opened

    def release(self) -> None:
        """Closes the store until its next use, because a SQLite file must not be open across a fork."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
