"""What the process that watches a folder does, for others to read."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason

log = logging.getLogger(__name__)

FILE_NAME = "watch.json"


@dataclass(frozen=True)
class WatchState:
    """The state of a watched folder.

    Attributes:
        folder: The folder.
        state: `in step`; `waiting` for the folder, a disk or another process; `failed` or `stopped` if the process that
            watched has ended.
        message: The latest line of its log.
        at: The time of that line, UTC.
    """

    folder: str
    state: Literal["starting", "in step", "waiting", "failed", "stopped"]
    message: str = ""
    at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    def for_clients(self) -> dict[str, str]:
        """A JSON-ready dictionary without paths and addresses: the name of the folder, and only counts as a message."""
        message = self.message if self.state == "in step" else "the log has the reason" if self.message else ""
        return {**asdict(self), "folder": Path(self.folder).name, "message": message}

    def write(self, root: Path) -> None:
        """Writes the state into the folder of a collection; a failure is logged."""
        path = root / FILE_NAME
        try:
            write_atomically(path, json.dumps(asdict(self), ensure_ascii=False).encode("utf8", "backslashreplace"))
        except OSError as error:
            log.warning("%s was not written: %s", path, reason(error, path))

    @classmethod
    def read(cls, root: Path, folder: str) -> WatchState:
        """The state of a folder as it was last written; `starting` if there is none."""
        try:
            state = cls(**json.loads((root / FILE_NAME).read_bytes()))
        except (OSError, ValueError, TypeError):
            return cls(folder, "starting")
        return state if state.folder == folder else cls(folder, "starting")
