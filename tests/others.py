"""Helpers to run code as another user, on read-only folders or on a small disk.

They skip the test, with the reason, on a machine that does not permit this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

UID = 54_321
"""A user id that no user has on most machines."""
_READS_ALL = [
    "setpriv", "--reuid", str(UID), "--clear-groups", "--inh-caps", "-all,+dac_read_search",
    "--ambient-caps", "+dac_read_search", "--bounding-set", "-all,+dac_read_search",
]  # fmt: skip
"""Command prefix for a user who may read all files (the interpreter may be in a private home folder) and write none."""


def as_another_user(ask: Callable[[], None], folder: Path) -> None:
    """Calls a function as another user in a forked process that may enter the folder; raises its failed assertions."""
    if os.getuid() != 0:
        pytest.skip("only root can change the user")
    for place in (folder, *folder.parents):
        if place.stat().st_uid == os.getuid() and place != Path("/"):
            place.chmod(place.stat().st_mode | 0o055)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(UID, UID, UID)
            os.setresuid(UID, UID, UID)
            ask()
        except BaseException:  # noqa: BLE001 -- reported to the parent process
            os.write(writing, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        failure = pipe.read()
    os.waitpid(pid, 0)
    assert not failure, failure


@cache
def _can(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run([*command, "true"], capture_output=True).returncode == 0


def another_user() -> list[str]:
    """The prefix for a command that runs as another user."""
    if not _can(*_READS_ALL):
        pytest.skip("this machine does not permit running commands as another user")
    return _READS_ALL


def read_only(folders: Sequence[Path], writable: Sequence[Path] = (), user: Sequence[str] = ()) -> list[str]:
    """The prefix for a command that sees folders on a read-only file system, except the `writable` ones.

    `user` is `another_user()` for a command that also runs as another user.
    """
    if not _can("unshare", "--mount", "sh", "-c", 'mount --bind / / && mount -o remount,bind,ro / && "$@"', "sh"):
        pytest.skip("this machine does not permit read-only mounts")
    steps = [f'mount --bind "{place}" "{place}"' for place in (*folders, *writable) if place != Path("/")]
    steps += [f'mount -o remount,bind,ro "{place}"' for place in folders]
    return ["unshare", "--mount", "sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh", *user]


def small_disk(folder: Path, kib: int) -> list[str]:
    """The prefix for a command that sees the folder as an empty disk of the given size."""
    mount = f'mount -t tmpfs -o size={kib}k tmpfs "{folder}"'
    if not _can("unshare", "--mount", "sh", "-c", f'{mount} && "$@"', "sh"):
        pytest.skip("this machine does not permit mounts")
    return ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
