"""The calibration of a collection as a file that may be replaced at any time."""

from __future__ import annotations

import logging
from pathlib import Path

from crossmodal.core.errors import StateError
from crossmodal.relevance.rules import Calibration

log = logging.getLogger(__name__)


class CalibrationFile:
    """The calibration file of a collection, read again whenever it is replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._signature: tuple[int, int] | None = None
        self._calibration: Calibration | None = None

    def current(self) -> Calibration | None:
        """The calibration, or None without a readable file; takes microseconds if the file is unchanged.

        A damaged file is logged as an error and fails no search: matches have no relevance until it is written again.
        """
        try:
            found = self._path.stat()
            if (found.st_ino, found.st_mtime_ns) != self._signature:
                self._calibration, self._signature = None, (found.st_ino, found.st_mtime_ns)
                self._calibration = Calibration.from_bytes(self._path.read_bytes())
        except FileNotFoundError:
            self._calibration, self._signature = None, None
        except (StateError, OSError) as error:
            self._calibration = None
            log.error("%s: %s", self._path, error)
        return self._calibration
