"""The pointer file of an index snapshot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmodal.core.errors import StateError


@dataclass(frozen=True)
class SnapshotPointer:
    """The validated entries of a pointer file; `content` is the whole JSON object."""

    format: int
    stem: str
    files: dict[str, str]  # name: checksum
    store_id: str
    last_seq: int
    count: int
    content: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> SnapshotPointer:
        """Reads a pointer.

        Raises:
            StateError: The file is damaged.
            OSError: The file can't be read.
        """
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise StateError(f"{path.name} is damaged: {error}") from error
        if not isinstance(content, dict):
            raise StateError(f"{path.name} is damaged: expected a JSON object")
        types = {"format": int, "stem": str, "files": dict, "store_id": str, "last_seq": int, "count": int}
        for name, expected in types.items():
            if type(content.get(name)) is not expected:
                raise StateError(f"{path.name} is damaged: its {name} is {content.get(name)!r}")
        # A name with a slash could refer to a file outside the folder.
        if not all("/" not in name and isinstance(checksum, str) for name, checksum in content["files"].items()):
            raise StateError(f"{path.name} is damaged: its files are {content['files']!r}")
        return cls(**{name: content[name] for name in types}, content=content)
