"""Selects the pictures of a folder that can be read now: those whose files are not being written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crossmodal.core.types import Failure, ImageRecord, Record
from crossmodal.ingest.ledger import path_of
from crossmodal.store.presence import container_of
from crossmodal.store.source_files import SourceFile

FileState = tuple[int, int, int] | None
"""Size, time of modification and time of change in ns; None if there is no such file."""


@dataclass
class Settled:
    """The records of a folder after a wait.

    Attributes:
        records: Those to index.
        unsettled: The paths of pictures whose files changed during the wait.
        failed: The paths of pictures that failed before and are unchanged.
        state: A value that differs if the records or their files differ.
    """

    records: list[Record] = field(default_factory=list)
    unsettled: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    state: int = 0


class Settling:
    """Compares the files of a folder before and after a wait, and remembers pictures that could not be read."""

    def __init__(self) -> None:
        self._failed: dict[str, FileState] = {}
        self._states: dict[str, FileState] = {}

    def settled(
        self, records: Sequence[Record], known: Mapping[str, SourceFile], wait: Callable[[], object]
    ) -> Settled:
        """The records, divided by whether their files can be read.

        Args:
            records: The records of the folder.
            known: The files of the folder when they were indexed, by path; they are not compared again.
            wait: Called once, to wait.
        """
        found, parts = Settled(), set()
        self._states = {path_of(r): _record_state(r) for r in records if isinstance(r, ImageRecord)}
        wait()
        for record in records:
            if not isinstance(record, ImageRecord):
                found.records.append(record)
                parts.add(repr(record))
                continue
            path = path_of(record)
            state = self._states[path]
            if not _is_known(known.get(path), state):
                if _record_state(record) != state:
                    found.unsettled.add(path)
                    continue
                if path in self._failed and self._failed[path] == state:
                    found.failed.add(path)
                    continue
            found.records.append(record)
            parts.add(repr((record.path, record.captions, record.tags, state)))
        found.state = hash(frozenset(parts))
        return found

    def remember(self, records: Iterable[Record], failures: Iterable[Failure]) -> None:
        """Remembers which of the records failed, so that their files are not read again before they change."""
        failed = {failure.path for failure in failures if failure.modality == "image"}
        for record in records:
            if isinstance(record, ImageRecord):
                path = path_of(record)
                if str(record.path) in failed:
                    self._failed[path] = self._states[path]
                else:
                    self._failed.pop(path, None)


def _record_state(record: ImageRecord) -> FileState:
    path = path_of(record)
    return file_state(path if record.content is None else str(container_of(record.path) or path))


def file_state(path: str) -> FileState:
    """The state of a file, or of the file that a link leads to."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _is_known(file: SourceFile | None, state: FileState) -> bool:
    return file is not None and state is not None and (file.size, file.mtime_ns) == state[:2]
