"""The lock of a collection's folder: one process writes at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crossmodal.core.errors import NotWritableError, StateError
from crossmodal.core.os_errors import reason, why_not_writable

FILE_NAME = "documents.sqlite"
LOCK_NAME = "writer.lock"


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Holds the writer lock of a folder for the block, without opening its store.

    Raises:
        NotWritableError: The folder is read-only, or read-only for this user.
        StateError: Another process is writing to it.
    """
    descriptor = take_writer_lock(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def check_writable(folder: Path) -> None:
    """Checks that a collection can be written to.

    Raises:
        NotWritableError: It is read-only, or read-only for this user; the message has the reason.
    """
    for path in (folder, folder / FILE_NAME, folder / LOCK_NAME):
        if why := why_not_writable(path, makes_folders=True):
            readable = ". Queries, verify and export still work" if os.path.exists(folder) else ""
            raise NotWritableError(f"{folder} can't be written to: {why}{readable}")


def take_writer_lock(folder: Path) -> int:
    """Takes the folder's lock and returns its file descriptor; the kernel releases it when the process ends.

    Raises:
        NotWritableError: The folder is read-only, or read-only for this user.
        StateError: Another process is writing to it.
    """
    check_writable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StateError(f"{folder} can't be written to: {reason(error, folder)}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StateError(
            f"another process is writing to {folder}: wait until it has finished, or stop it "
            "(`-t index`, `-t index_restful`, `-t query_restful --writable`, `-t reindex` and `-t compact` write); "
            "queries still work"
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise StateError(f"{folder / LOCK_NAME} can't be locked: {reason(error)}") from error
    return descriptor
