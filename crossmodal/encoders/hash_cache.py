"""The SHA-256 of files; those of large files are kept in the user's cache folder.

An entry is valid while the size, inode and times of the file are the same. Without a usable cache, each call hashes it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from crossmodal.core.files import write_atomically
from crossmodal.core.resources import cache_folder

log = logging.getLogger(__name__)

LARGE = 4 << 20
"""Size in bytes of a file that takes longer to hash than to find in the cache."""

SETTLED_NS = 2_000_000_000
"""Age from which a file's hash is kept: a later write then changes its times, in steps of at most two seconds."""


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: The file can't be read.
    """
    with path.open("rb") as file:
        state = _state(file.fileno())
        if state[0] < LARGE:
            return hashlib.file_digest(file, "sha256").hexdigest()
        cache, name = cache_folder() / "hashes.json", str(path.resolve())
        entry = _read(cache).get(name)
        if isinstance(entry, list) and entry[:-1] == state:
            return str(entry[-1])
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        is_settled = time.time_ns() - max(state[2:]) > SETTLED_NS
        if is_settled and _state(file.fileno()) == state:
            _store(cache, name, [*state, digest])
        return digest


def _state(descriptor: int) -> list[int]:
    """The size, inode, and times in ns of an open file; a write changes one of them, even if it restores the mtime."""
    status = os.fstat(descriptor)
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _read(cache: Path) -> dict[str, Any]:
    """The entries of the cache, (*state, hash) by path; empty if it is missing or unusable."""
    try:
        entries = json.loads(cache.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.info("the hashes in %s can't be used: %s", cache, error)
        return {}
    return entries if isinstance(entries, dict) else {}


def _store(cache: Path, name: str, entry: list[Any]) -> None:
    """Adds an entry and drops those of files that no longer exist; an entry of a concurrent process may be lost."""
    entries = {known: value for known, value in _read(cache).items() if os.path.exists(known)}
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, json.dumps({**entries, name: entry}, indent=0).encode())
    except OSError as error:
        log.info("the hash of %s is not kept: %s", name, error)
