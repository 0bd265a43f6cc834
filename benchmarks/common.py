"""Shared by the benchmarks: figures as JSON, memory of processes, and jobs in a process of their own."""

from __future__ import annotations

import json
import multiprocessing
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def write_figures(path: str | None, figures: dict[str, float]) -> None:
    """Prints the figures, and writes `{"figures": {...}}` if a path is given."""
    for name, value in figures.items():
        print(f"{name:32} {value:10.3f}")
    if path:
        Path(path).write_text(json.dumps({"figures": figures}, indent=1) + "\n")


class PeakMemory:
    """The peak of the summed proportional set sizes (PSS) of this process and its descendants within the block.

    A page that n processes share counts 1/n in each, so the sum is the memory in use on the machine.
    """

    def __init__(self, every_s: float = 1.0) -> None:
        self.peak_bytes = 0
        self._every_s, self._stop = every_s, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        this_process = psutil.Process()
        while not self._stop.wait(self._every_s):
            total = 0
            for process in [this_process, *this_process.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.NoSuchProcess:
                    continue  # the process ended between the two calls
            self.peak_bytes = max(self.peak_bytes, total)


def memory_mb() -> tuple[float, float]:
    """Resident and anonymous memory of this process in MB."""
    lines = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    resident, anonymous = (int(lines[name].split()[0]) * 1024 / 1e6 for name in ("Rss", "Anonymous"))
    return resident, anonymous


def in_own_process(job: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a job that runs in a new process, which inherits no threads or memory."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(send, job, *arguments))
    process.start()
    send.close()
    try:
        return receive.recv()
    finally:
        process.join()


def _report(send: Any, job: Callable[..., Any], *arguments: Any) -> None:
    send.send(job(*arguments))
    send.close()
