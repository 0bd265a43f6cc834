"""Notices that a folder may have changed, also where the operating system does not report it."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event

from crossmodal.core.errors import StateError
from crossmodal.datasets.ignore import IGNORE_FILE
from crossmodal.datasets.selection import is_left_out

CHECK_S = 1.0
"""How often the folder itself is checked: mounting or unmounting a disk replaces it without an event."""
LOOK_AGAIN_S = 600.0
"""The longest time between two looks, for changes without an event, as on network file systems."""
POLL_S = 2.0
"""How often all files are compared when polling."""
GROUP_S, QUIET_S = 1.0, 0.1
"""Events are grouped until none came for `QUIET_S`, but at most for `GROUP_S`."""


class FolderChanges:
    """The changes of a folder, which may come and go.

    Iterating yields sets of absolute paths that may have changed, until `stop` is set. The set is empty when everything
    may have: at first, when events are already received, so that a reader who then looks misses nothing; when the
    folder was mounted, unmounted or replaced; and when a look is due. Hidden and system files don't count, except
    `.crossmodalignore`.
    """

    def __init__(self, folder: Path, stop: Event, *, polling: bool = False, besides: Sequence[Path] = ()) -> None:
        """Stores the arguments; nothing is watched yet.

        Args:
            folder: The folder.
            stop: Ends the iteration within a second.
            polling: Whether to compare all files regularly instead of waiting for events.
            besides: Folders whose changes don't count.
        """
        self._root, self._stop, self._polling = os.path.abspath(folder), stop, polling
        self._besides = tuple(f"{os.path.abspath(path)}/" for path in besides)
        self._due = 0.0
        self._is_stale = False

    def look_again(self, after_s: float, *, anew: bool = False) -> None:
        """Makes a look due; with `anew`, all folders are watched anew before, since some could not be."""
        self._due = time.monotonic() + after_s
        self._is_stale |= anew

    def __iter__(self) -> Iterator[frozenset[str]]:
        """The changes.

        Raises:
            StateError: The operating system offers no events for so many folders.
        """
        while not self._stop.is_set():
            identity, self._due, self._is_stale = _identity(self._root), 0.0, False
            if identity is not None:
                yield from self._while_same(identity)
                continue
            yield frozenset()
            while not self._stop.wait(CHECK_S) and _identity(self._root) is None:
                pass

    def _while_same(self, identity: tuple[int, int]) -> Iterator[frozenset[str]]:
        """The changes until the folder is replaced or has to be watched anew."""
        with closing(self._events()) as events:
            for paths in events:
                counting = frozenset(filter(self._counts, paths))
                is_due = time.monotonic() >= self._due
                if is_due and self._is_stale:
                    return
                if counting or is_due:
                    self._due = time.monotonic() + LOOK_AGAIN_S
                    yield counting
                if self._root in paths or _identity(self._root) != identity:
                    return

    def _events(self) -> Generator[set[str], None, None]:
        """The paths of events, and an empty set each `CHECK_S` without any."""
        from watchfiles import watch

        try:
            for events in watch(
                self._root,
                watch_filter=None,
                debounce=int(GROUP_S * 1000),
                step=int(QUIET_S * 1000),
                stop_event=self._stop,
                rust_timeout=int(CHECK_S * 1000),
                yield_on_timeout=True,
                force_polling=self._polling or None,  # None: as WATCHFILES_FORCE_POLLING says
                poll_delay_ms=int(POLL_S * 1000),
                ignore_permission_denied=True,
            ):
                yield {path for _, path in events}
        except FileNotFoundError:
            return  # it was there when it was checked
        except OSError as error:
            raise StateError(
                f"{self._root} can't be watched: {error}. Raise the limit (sysctl fs.inotify.max_user_watches), or "
                "watch with --polling"
            ) from error

    def _counts(self, path: str) -> bool:
        """Whether a path can affect what is read of the folder."""
        if path.startswith(self._besides):
            return False
        *folders, name = path[len(self._root) + 1 :].split("/")
        return not any(map(is_left_out, folders)) and (name == IGNORE_FILE or not is_left_out(name))


def _identity(folder: str) -> tuple[int, int] | None:
    """Device and inode of a folder; None if there is none."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino
