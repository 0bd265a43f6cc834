"""Selects the pictures of a folder that can be read now: those whose files are not being written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from crossmodal.core.errors import PictureError
from crossmodal.core.types import Failure, ImageRecord, Record, image_id
from crossmodal.images.sources import of_record
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
        parts: Each record of `records` with its file, comparable with that of another time; those of pictures by path.
    """

    records: list[Record] = field(default_factory=list)
    unsettled: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    parts: dict[str, str] = field(default_factory=dict)


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
        found = Settled()
        self._states = {r.real_path: _record_state(r) for r in records if isinstance(r, ImageRecord)}
        wait()
        for record in records:
            if not isinstance(record, ImageRecord):
                found.records.append(record)
                found.parts[repr(record)] = ""
                continue
            path = record.real_path
            state = self._states[path]
            if not _is_known(known.get(path), state):
                if _record_state(record) != state:
                    found.unsettled.add(path)
                    continue
                if path in self._failed and self._failed[path] == state:
                    found.failed.add(path)
                    continue
            found.records.append(record)
            others = found.parts.get(path, "")  # those of links to the file
            found.parts[path] = others + repr((record.path, record.captions, record.tags, state))
        return found

    def remember(self, records: Iterable[Record], failures: Iterable[Failure]) -> None:
        """Remembers which of the records failed, so that their files are not read again before they change."""
        failed = {failure.path for failure in failures if failure.modality == "image"}
        for record in records:
            if isinstance(record, ImageRecord):
                path = record.real_path
                if str(record.path) in failed:
                    self._failed[path] = self._states[path]
                else:
                    self._failed.pop(path, None)


def changed_since(done: Mapping[str, str], now: Settled, known: Mapping[str, SourceFile]) -> list[Record] | None:
    """The records to index if those of `done` are indexed; None if nothing has changed.

    These are the records that are new or changed, all other records of the pictures in their files and in files that
    are gone, and those that are no pictures. A run over them equals a run over all, if it takes the others as listed.

    Args:
        done: The `parts` of an earlier time.
        now: The records.
        known: The files of the folder when they were indexed, by path.
    """
    gone = (known.keys() | done.keys()) - now.parts.keys() - now.unsettled - now.failed
    changed = {key for key, part in now.parts.items() if done.get(key) != part}
    if not gone and not changed:
        return None
    pictures = {known[path].image_id for path in gone | changed if path in known}
    for record in now.records:
        if isinstance(record, ImageRecord) and record.real_path in changed:
            with suppress(PictureError):  # the run reports it
                pictures.add(image_id(of_record(record)))
    return [
        record
        for record in now.records
        if not isinstance(record, ImageRecord)
        or record.real_path in changed
        or (record.real_path in known and known[record.real_path].image_id in pictures)
    ]


def _record_state(record: ImageRecord) -> FileState:
    path = record.real_path
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
