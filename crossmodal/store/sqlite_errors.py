"""Messages for SQLite errors that the file or the disk causes."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from crossmodal.core.errors import NotWritableError, StateError
from crossmodal.core.os_errors import reason, why_not_readable, why_not_writable

REFUSED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_KEPT = "acknowledged documents are safe; run the command again to continue"


def code_of(error: sqlite3.Error) -> int:
    """The primary result code; 0 if SQLite did not raise the error."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def explained(path: Path, error: sqlite3.Error) -> StateError | None:
    """The error with the reason if the file or the disk is at fault; None for other errors."""
    code, name = code_of(error), getattr(error, "sqlite_errorname", "")
    if code in _DAMAGED:
        return StateError(
            f"{path} is damaged or not a store ({error}): move it away and index again, or import an export"
        )
    if code == sqlite3.SQLITE_FULL:
        return StateError(f"the disk is full: {path} could not be written. Free some space; {_KEPT}")
    if code == sqlite3.SQLITE_IOERR:
        return StateError(
            f"the disk failed, or its quota is used up ({error}, {name}): {path} could not be written or read. "
            f"Check the disk; {_KEPT}"
        )
    if code in _IN_USE:
        return StateError(f"{path} is in use by another process ({error}): wait until it is done, or stop it")
    if code == sqlite3.SQLITE_NOMEM:
        return StateError(f"out of memory while reading {path}: close other programs")
    if code not in REFUSED:
        return None
    if why := _limit_reached() or why_not_readable(path):
        return StateError(f"{path} can't be opened: {why}")
    if why := why_not_writable(path) or why_not_writable(path.parent):
        return NotWritableError(f"{path} can't be written to: {why}")
    return StateError(f"{path} can't be opened ({error})") if code == sqlite3.SQLITE_CANTOPEN else None


def _limit_reached() -> str | None:
    """The reason if this process can't open any file, else None."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return reason(error)
    return None
