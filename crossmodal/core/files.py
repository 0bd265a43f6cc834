"""Atomic file writes, checksums, and detection of replaced files."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_LONGEST = 200
"""Bytes of a name that a process id is added to; file systems take 255 in all."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """The path of a temporary file, for the block to write; then it is synced and renamed to `path`.

    The temporary file is removed if the block raises; an OSError that names it, or no file, then names `path`.
    """
    name = os.fsencode(path.name)
    short = path.name if len(name) <= _LONGEST else f"{zlib.crc32(name):08x}"
    temporary = path.with_name(f".{short}.{os.getpid()}.tmp")
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_writer(path: Path, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """As `atomic_path`, with the temporary file open for writing; `mode` are its permissions before the umask."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file,
    ):
        yield file


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a crash leaves either the complete old file or the complete new one."""
    with atomic_writer(path) as file:
        file.write(content)
    sync_folder(path.parent)


def write_output(path: Path, content: bytes) -> None:
    """Writes a file or a device that the user named.

    Raises:
        OSError: It can't be written, with its name; a file that did not exist before is removed.
    """
    is_new = not path.exists()
    try:
        path.write_bytes(content)
    except OSError as error:
        if error.errno:
            error.filename = str(path)
        if is_new:
            path.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Flushes a folder's renames and new entries to disk (fsync)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checksum(path: Path) -> str:
    """CRC-32 and length of a file; cheap enough to verify an index of a million vectors at every start."""
    crc, size = 0, 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc, size = zlib.crc32(block, crc), size + len(block)
    return f"{crc:08x}-{size}"


def signature(path: Path) -> tuple[int, int] | None:
    """Inode and modification time in ns, which change when the file is replaced; None if the file does not exist."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
