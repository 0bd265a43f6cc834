"""The processes of a Flow: none is left behind, however this one ends."""

from __future__ import annotations

import ctypes
import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1
"""Of Linux: prctl(2)."""

stop_requested = threading.Event()
"""Set by SIGTERM and SIGINT within `signals_as_interrupt`."""
_forking = threading.Event()
_libc = ctypes.CDLL(None)  # here: a process that was just forked must not load anything


@contextmanager
def children_end_with_us() -> Iterator[None]:
    """Processes that are forked in the block get SIGTERM when this one has ended, even where it was killed.

    Otherwise Executors would go on, with the ports and the writer's lock.
    """
    _forking.set()
    try:
        yield
    finally:
        _forking.clear()


def _end_with_parent() -> None:
    if _forking.is_set() and sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


os.register_at_fork(after_in_child=_end_with_parent)


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt in the block, as Ctrl-C does; its default would leave the Flow's processes.

    `stop_requested` is set as well: a KeyboardInterrupt that is raised inside a finalizer is lost.
    """

    def stop(*_: object) -> None:
        stop_requested.set()
        raise KeyboardInterrupt

    stop_requested.clear()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def close_within(close: Callable[[], None], limit_s: float) -> None:
    """Calls `close`; child processes that are left after the time limit are killed, with a warning that names them."""

    def kill() -> None:
        left = multiprocessing.active_children()
        for process in left:
            process.kill()
        names = ", ".join(process.name for process in left)
        print(f"warning: {names} had not ended {limit_s:g} s after being told to: killed", file=sys.stderr)

    overdue = threading.Timer(limit_s, kill)
    overdue.daemon = True
    overdue.start()
    try:
        close()
    finally:
        overdue.cancel()


class CapturedOutput(io.StringIO):
    """Standard output while a Flow starts: what this process writes (Jina's banner and log) is kept here.

    Processes that are forked meanwhile inherit it; what they write goes to standard error.
    """

    def __init__(self) -> None:
        super().__init__()
        self._owner = os.getpid()

    def write(self, text: str) -> int:
        """Keeps a text, or passes it to standard error."""
        return super().write(text) if os.getpid() == self._owner else sys.stderr.write(text)

    def flush(self) -> None:
        """Flushes standard error in a forked process."""
        if os.getpid() != self._owner:
            sys.stderr.flush()
