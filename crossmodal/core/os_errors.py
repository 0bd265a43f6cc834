"""What the operating system refused, in words: which file, who may, and what to do next."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

_DENIED = (errno.EACCES, errno.EPERM)
_REASONS = {
    errno.EROFS: "it is on a file system that is mounted read-only: mount it writable, or choose another place",
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space, or ask for a larger quota",
    errno.EFBIG: "the file would be larger than the file system or the limits of this process allow (`ulimit -f`)",
    errno.EMFILE: "this process has too many open files: raise the limit with `ulimit -n`",
    errno.ENFILE: "this machine has too many open files: close some programs",
    errno.ENAMETOOLONG: "the name is too long for the file system: choose a shorter one",
    errno.EIO: "the disk failed: check it, and what the system log says of it",
    errno.ELOOP: "its symbolic links lead round in a circle: remove one of them",
    errno.ENOTDIR: "a part of its path is not a folder: choose another place",
    errno.EISDIR: "it is a folder, not a file: choose another name",
    errno.EEXIST: "something else has this name already: choose another name",
    errno.EBUSY: "it is in use: close the program that uses it",
    errno.ESTALE: "the network file system has lost it: mount it again",
    errno.ENOMEM: "memory has run out: close some programs",
    errno.ENOTEMPTY: "the folder is not empty: empty it, or choose another",
    errno.EXDEV: "it is on another file system than its new place: choose a place on the same one",
    errno.ETXTBSY: "it is a program that is running: stop it",
    errno.EINVAL: "the file system does not take this name or this operation: choose another place",
}
ENVIRONMENT_ERRNOS = frozenset({*_DENIED, *_REASONS} - {errno.EINVAL})
"""Errors of files, disks and limits, which a person can do something about; any other OSError may be a bug."""


def reason(error: OSError, path: Path | None = None) -> str:
    """Why the operating system refused, who may, and what to do.

    Args:
        error: What it raised.
        path: The file or folder; by default the one that the error names.
    """
    path = path or (Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None)
    if error.errno in _DENIED and path is not None:
        return denied(path)
    if error.errno in _DENIED:
        return f"permission denied for {_user(os.geteuid())}: run it as a user who may"
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


def read_failure(error: Exception, path: Path) -> str:
    """What is wrong with a file that was to be read: what the operating system said, else that it is damaged."""
    if isinstance(error, OSError) and error.errno:
        return f"can't be read: {reason(error, path)}"
    return f"is damaged: {error}"


def denied(path: Path) -> str:
    """Who may use a file or folder that this user may not: the owner and the mode of what stands in the way."""
    place, found = _in_the_way(path)
    if found is None:
        return f"permission denied for {_user(os.geteuid())}: run it as a user who may"
    return (
        f"permission denied for {_user(os.geteuid())}: {place} belongs to {_user(found.st_uid)} "
        f"with mode {stat.filemode(found.st_mode)}. Run it as that user, or ask them for access"
    )


def _in_the_way(path: Path) -> tuple[Path, os.stat_result | None]:
    """What denies access to a path: a folder above that may not be entered, else the path, else its folder."""
    for folder in [*reversed(path.absolute().parents)]:
        if folder.is_dir() and not _may(folder, os.X_OK):
            return folder, folder.stat()
    for place in (path, path.absolute().parent):
        try:
            found = place.stat()
        except OSError:
            continue
        if not _may(place, os.R_OK | os.W_OK):
            return place, found
    try:
        return path, path.stat()
    except OSError:
        return path, None


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def why_not_writable(path: Path, *, makes_folders: bool = False) -> str | None:
    """Why a file can't be written, or a folder written to; None where it can, as far as can be told beforehand.

    Nothing is created or changed. A disk that is full is not noticed.

    Args:
        path: The file or folder; it need not exist.
        makes_folders: Whether missing folders above it are made by the one who writes.
    """
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        parent = path.parent
        if path.is_symlink():
            return "it is a symbolic link to something that is not there: remove it, or choose another name"
        if os.path.lexists(parent) or parent == path:
            return _why_not_folder(parent)
        if makes_folders:
            return why_not_writable(parent, makes_folders=True)
        return f"there is no folder {parent}: make it first"
    except OSError as error:
        return reason(error, path)
    if is_folder:
        return _why_not_folder(path)
    return None if _may(path, os.W_OK) else _refusal(path)


def _why_not_folder(folder: Path) -> str | None:
    """Why no file can be made in a folder."""
    if not folder.is_dir():
        return f"{folder} is not a folder: choose another place"
    return None if _may(folder, os.W_OK | os.X_OK) else _refusal(folder)


def why_not_readable(path: Path) -> str | None:
    """Why a file that is there can't be read; None where it can."""
    try:
        path.stat()
    except OSError as error:
        return reason(error, path)
    return None if _may(path, os.R_OK) else denied(path)


def _refusal(path: Path) -> str:
    is_read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    return reason(OSError(errno.EROFS if is_read_only else errno.EACCES, ""), path)
