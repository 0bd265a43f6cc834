"""The duplicates of the current state of a collection, computed in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import CrossModalError
from crossmodal.duplicates.finding import DuplicateGroups, find
from crossmodal.duplicates.fingerprints import Fingerprints, read_fingerprints
from crossmodal.store.known_folders import all_folders
from crossmodal.store.protocol import Store

log = logging.getLogger(__name__)
WAIT_FACTOR = 9
"""While the collection keeps changing, a result is used for this many times the duration of computing one."""


class LatestDuplicates:
    """The duplicates of a store, found again in a thread after changes; shared by threads. Nothing is written."""

    def __init__(self, collection: Collection, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._collection, self._store, self._clock = collection, store, clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._found: DuplicateGroups | None = None
        self._prints: Fingerprints | None = None
        self._problem: CrossModalError | None = None
        self._version, self._used_until = (-1, -1), 0.0
        self.progress = 0.0

    def current(self) -> tuple[DuplicateGroups | None, bool]:
        """The latest duplicates, None if there are none yet; and whether they are those of the current state.

        Starts to compute them if they are not.

        Raises:
            StateError: They can't be computed.
        """
        with self._lock:
            problem, self._problem = self._problem, None  # told once, also if the store is away now
            version = self._store.data_version()
            is_current = version == self._version
            is_running = self._thread is not None and self._thread.is_alive()
            if problem is not None:
                raise problem
            if not is_current and not is_running and self._clock() >= self._used_until:
                self.progress = 0.0
                self._thread = threading.Thread(target=self._find, args=(version,), daemon=True)
                self._thread.start()
            return self._found, is_current

    def wait(self, timeout_s: float) -> None:
        """Returns when the computation that is running has ended, or after a time."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _find(self, version: tuple[int, int]) -> None:
        start = self._clock()
        try:
            prints = self._prints or read_fingerprints(self._collection.folder)
            with self._collection.store() as store:  # requests don't wait for reads of another connection
                found = find(
                    store,
                    lambda: self._collection.index(store, "image"),
                    prints,
                    folders=all_folders(self._collection.folder),
                    progress=self._tell,
                )
        except CrossModalError as error:
            log.warning("the duplicates can't be found: %s", error)
            self._problem = error
            return
        with self._lock:
            self._found, self._prints, self._version = found, found.prints, version
            self._used_until = self._clock() + WAIT_FACTOR * (self._clock() - start)

    def _tell(self, part: float) -> None:
        self.progress = part
