"""Explanations of operating-system errors: which file, who has access, and what to do next."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path
from shlex import quote

_DENIED = (errno.EACCES, errno.EPERM)
_REASONS = {
    errno.EROFS: "the file system is mounted read-only: mount it writable, or choose another location",
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space, or ask for a larger quota",
    errno.EFBIG: "the file would be larger than the file system or the limits of this process allow (`ulimit -f`)",
    errno.EMFILE: "this process has too many open files: raise the limit with `ulimit -n`",
    errno.ENFILE: "this machine has too many open files: close other programs",
    errno.ENAMETOOLONG: "the name is too long for the file system: choose a shorter one",
    errno.EIO: "the disk failed: check the disk and the system log",
    errno.ELOOP: "its symbolic links form a circle: remove one of them",
    errno.ENOTDIR: "a part of its path is not a folder: choose another location",
    errno.EISDIR: "it is a folder, not a file: choose another name",
    errno.EEXIST: "a file of this name exists already: choose another name",
    errno.EBUSY: "it is in use: close the program that uses it",
    errno.ESTALE: "the network file system no longer has this file: mount it again",
    errno.ENOMEM: "the machine is out of memory: close other programs",
    errno.ENOTEMPTY: "the folder is not empty: empty it, or choose another",
    errno.EXDEV: "source and target are on different file systems: choose a target on the same one",
    errno.ETXTBSY: "it is a program that is running: stop it",
    errno.EINVAL: "the file system does not support this name or operation: choose another location",
}
ENVIRONMENT_ERRNOS = frozenset({*_DENIED, *_REASONS} - {errno.EINVAL})
"""Error numbers of files, disks and limits, which a user can fix; any other OSError may be a bug."""


def reason(error: OSError, path: Path | None = None) -> str:
    """Why an operation on a file failed, who has access, and what to do next.

    Args:
        error: The error that the operation raised.
        path: The file or folder; defaults to the file name in the error.
    """
    path = path or (Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None)
    if error.errno in _DENIED and path is not None:
        return denied(path)
    if error.errno in _DENIED:
        return f"permission denied for {_user(os.geteuid())}: run the program as a user with access"
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


def read_failure(error: Exception, path: Path) -> str:
    """Why reading a file failed: the operating system's reason, or that the file's content is damaged."""
    if isinstance(error, OSError) and error.errno:
        return f"can't be read: {reason(error, path)}"
    return f"is damaged: {error}"


def denied(path: Path) -> str:
    """Why this user has no access to a path: owner and mode of the file or folder that denies it."""
    place, status = _denied_at(path)
    if status is None:
        return f"permission denied for {_user(os.geteuid())}: run the program as a user with access"
    is_own = status.st_uid == os.geteuid()
    next_step = f"Run chmod u+rwX {quote(str(place))}" if is_own else "Run it as that user, or ask them for access"
    return (
        f"permission denied for {_user(os.geteuid())}: {place} belongs to {_user(status.st_uid)} "
        f"with mode {stat.filemode(status.st_mode)}. {next_step}"
    )


def _denied_at(path: Path) -> tuple[Path, os.stat_result | None]:
    """What denies access to a path: a parent folder without search permission, else the path, else its folder."""
    for folder in [*reversed(path.absolute().parents)]:
        if folder.is_dir() and not _has_access(folder, os.X_OK):
            return folder, folder.stat()
    for place in (path, path.absolute().parent):
        try:
            status = place.stat()
        except OSError:
            continue
        if not _has_access(place, os.R_OK | os.W_OK):
            return place, status
    try:
        return path, path.stat()
    except OSError:
        return path, None


def _has_access(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def why_not_writable(path: Path, *, makes_folders: bool = False) -> str | None:
    """Why a file or folder is not writable; None if no obstacle is known.

    Creates and changes nothing. Does not detect a full disk.

    Args:
        path: The file or folder; it need not exist.
        makes_folders: Whether the caller creates missing parent folders.
    """
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        parent = path.parent
        if path.is_symlink():
            return "it is a symbolic link to a file that does not exist: remove it, or choose another name"
        if os.path.lexists(parent) or parent == path:
            return _why_not_folder(parent)
        if makes_folders:
            return why_not_writable(parent, makes_folders=True)
        return f"there is no folder {parent}: create it first"
    except OSError as error:
        return reason(error, path)
    if is_folder:
        return _why_not_folder(path)
    return None if _has_access(path, os.W_OK) else _not_writable_reason(path)


def _why_not_folder(folder: Path) -> str | None:
    """Why no file can be created in a folder; None if one can."""
    if not folder.is_dir():
        return f"{folder} is not a folder: choose another location"
    return None if _has_access(folder, os.W_OK | os.X_OK) else _not_writable_reason(folder)


def why_not_readable(path: Path) -> str | None:
    """Why an existing file is not readable; None if it is."""
    try:
        path.stat()
    except OSError as error:
        return reason(error, path)
    return None if _has_access(path, os.R_OK) else denied(path)


def _not_writable_reason(path: Path) -> str:
    is_read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    return reason(OSError(errno.EROFS if is_read_only else errno.EACCES, ""), path)
