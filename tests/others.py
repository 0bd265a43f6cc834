"""Ways to run as another user, and where nothing may be written; tests that can't are skipped with the reason."""

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
"""Of nobody, on most machines."""
_READS_ALL = [
    "setpriv", "--reuid", str(UID), "--clear-groups", "--inh-caps", "-all,+dac_read_search",
    "--ambient-caps", "+dac_read_search", "--bounding-set", "-all,+dac_read_search",
]  # fmt: skip
"""Another user, who may read all, the interpreter in a closed home folder included, and write nothing."""


def as_another_user(ask: Callable[[], None], folder: Path) -> None:
    """Calls a function in a forked process of another user, who may enter the folder; its assertions count here."""
    if os.getuid() != 0:
        pytest.skip("only root becomes another user")
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
        except BaseException:  # noqa: BLE001 -- whatever it is, the test is told
            os.write(writing, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        failure = told.read()
    os.waitpid(pid, 0)
    assert not failure, failure


@cache
def _can(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run([*command, "true"], capture_output=True).returncode == 0


def another_user() -> list[str]:
    """What stands before a command that another user is to run."""
    if not _can(*_READS_ALL):
        pytest.skip("this machine lets no command run as another user")
    return _READS_ALL


def read_only(folders: Sequence[Path], writable: Sequence[Path] = (), user: Sequence[str] = ()) -> list[str]:
    """What stands before a command that is to find these folders on a read-only file system, all but the writable
    ones; `user` is `another_user()`, where it is to run as one.
    """
    if not _can("unshare", "--mount", "sh", "-c", 'mount --bind / / && mount -o remount,bind,ro / && "$@"', "sh"):
        pytest.skip("this machine lets nobody mount a folder read-only")
    steps = [f'mount --bind "{place}" "{place}"' for place in (*folders, *writable) if place != Path("/")]
    steps += [f'mount -o remount,bind,ro "{place}"' for place in folders]
    return ["unshare", "--mount", "sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh", *user]


def small_disk(folder: Path, kib: int) -> list[str]:
    """What stands before a command that is to find the folder on a disk of that size of its own, and empty."""
    mount = f'mount -t tmpfs -o size={kib}k tmpfs "{folder}"'
    if not _can("unshare", "--mount", "sh", "-c", f'{mount} && "$@"', "sh"):
        pytest.skip("this machine lets nobody mount a disk")
    return ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
