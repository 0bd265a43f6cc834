"""Zip archives that are written while they are sent: only the file that is being added is in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

OLDEST = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip archive can state."""


@dataclass(frozen=True)
class Entry:
    """A file of an archive; `taken` is YYYY-MM-DDTHH:MM:SS, empty if its time is not known."""

    name: str
    content: bytes
    taken: str = ""


def zipped(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The parts of an archive of these files, which are not compressed: pictures are already.

    An archive of more than 4 GB or 65,535 files is one of Zip64. Each file has its size before it, not after it, so
    that programs that read an archive from its beginning can read it, too.

    Source: PKWARE, APPNOTE.TXT 6.3.10.
    """
    window = _Window()
    with zipfile.ZipFile(window, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            info = zipfile.ZipInfo(entry.name, _time(entry.taken))
            info.external_attr = 0o644 << 16
            archive.writestr(info, entry.content)
            yield window.taken()
    yield window.taken()


def _time(taken: str) -> tuple[int, int, int, int, int, int]:
    try:
        time = datetime.fromisoformat(taken)
    except ValueError:
        return OLDEST
    return time.timetuple()[:6] if 1980 <= time.year <= 2107 else OLDEST


class _Window(io.RawIOBase):
    """The end of a file whose beginning is gone; `zipfile` goes back only to the header of the file it is adding."""

    def __init__(self) -> None:
        self._start = 0  # of the buffer, in the file
        self._buffer = io.BytesIO()

    def taken(self) -> bytes:
        """What was written since the last call, which can't be changed any more."""
        part = self._buffer.getvalue()
        self._start += len(part)
        self._buffer = io.BytesIO()
        return part

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return self._buffer.write(data)

    def tell(self) -> int:
        return self._start + self._buffer.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_SET:
            offset -= self._start
        return self._start + self._buffer.seek(offset, whence)
