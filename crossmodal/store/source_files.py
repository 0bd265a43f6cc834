"""The record of a file that a picture was read from."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class SourceFile:
    """A file that was indexed. A file with the same path, size and time is assumed to be unchanged."""

    path: str
    size: int  # bytes
    mtime_ns: int
    image_id: str

    @classmethod
    def on_disk(cls, path: str, container: str = "") -> SourceFile | None:
        """The current size and time of the file, or of an embedded picture's container; None if it can't be checked."""
        try:
            status = os.stat(container or path)
        except (OSError, ValueError):
            return None
        return cls(path, status.st_size, status.st_mtime_ns, "")

    def is_like(self, other: SourceFile) -> bool:
        """Whether path, size and time are the same."""
        return (self.path, self.size, self.mtime_ns) == (other.path, other.size, other.mtime_ns)
