"""Ends the processes of a Flow, however this process ends."""

from __future__ import annotations

import ctypes
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1
"""See prctl(2) of Linux."""
stop_requested = threading.Event()
"""Set by SIGTERM and SIGINT within `signals_as_interrupt`."""
_forking = threading.Event()
_libc = ctypes.CDLL(None)  # loaded here, because a process must not load libraries right after a fork


@contextmanager
def children_end_with_us() -> Iterator[None]:
    """Processes forked in the block receive SIGTERM when this process ends, even if it is killed (Linux only).

    Otherwise Executors would keep running, with their ports and the writer lock.
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


def ended_with_us(command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts a program that receives SIGTERM when this process ends, even if it is killed (Linux only)."""
    with children_end_with_us():
        return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent)


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt in the block, as Ctrl-C does; by default it would leave the Flow's processes.

    `stop_requested` is also set, because a KeyboardInterrupt raised inside a finalizer is lost.
    """
    owner = os.getpid()

    def stop(*_: object) -> None:
        if os.getpid() != owner:  # a process of the Flow that has no handlers yet, and nothing to close
            os._exit(130)
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
    """Calls `close`; after the time limit, kills the remaining child processes and warns with their names."""

    def kill() -> None:
        running = multiprocessing.active_children()
        for process in running:
            process.kill()
        names = ", ".join(process.name for process in running)
        print(f"warning: {names} did not stop within {limit_s:g} s and was killed", file=sys.stderr)

    overdue = threading.Timer(limit_s, kill)
    overdue.daemon = True
    overdue.start()
    try:
        close()
    finally:
        overdue.cancel()


class CapturedOutput(io.StringIO):
    """Replaces standard output while a Flow starts, and holds what this process writes: Jina's banner and log.

    Processes forked in the meantime inherit it; their output goes to standard error.
    """

    def __init__(self) -> None:
        super().__init__()
        self._owner = os.getpid()

    def write(self, text: str) -> int:
        """Stores the text, or writes it to standard error in a forked process."""
        return super().write(text) if os.getpid() == self._owner else sys.stderr.write(text)

    def flush(self) -> None:
        """Flushes standard error in a forked process."""
        if os.getpid() != self._owner:
            sys.stderr.flush()
