"""What dates and places the pictures of a store have, for queries that name some."""

from __future__ import annotations

from crossmodal.search.overview import is_time
from crossmodal.store.protocol import Store
from crossmodal.store.remembered import Remembered


class KnownPictures:
    """Implements `understanding.Known` by reading only the tags that matter, when they do.

    An `Overview` knows the same, and reads all that browsing needs.
    """

    def __init__(self, store: Store) -> None:
        """Takes the open store."""
        self._store, self._remembered = store, Remembered(store.data_version)

    @property
    def has_dates(self) -> bool:
        """Whether some picture has a date."""
        return self._remembered.value(
            "dates", lambda: any(taken and is_time(taken) for _, taken in self._store.tag_texts("image", ["taken"]))
        )

    @property
    def has_places(self) -> bool:
        """Whether some picture has a country, a region or a place."""
        return bool(self._names())

    def is_named(self, name: str) -> bool:
        """As `Known.is_named`."""
        return name.casefold() in self._names()

    def _names(self) -> frozenset[str]:
        return self._remembered.value("names", self._read_names)

    def _read_names(self) -> frozenset[str]:
        rows = self._store.tag_texts("image", ["country", "region", "place"])
        names = {name for _, *found in rows for name in found if name}
        return frozenset(name.casefold() for name in names)
