"""What the benchmarks share: figures to JSON, and the memory of a process with all its children."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def write_figures(path: str | None, figures: dict[str, float]) -> None:
    """Prints the figures, and writes `{"figures": {...}}` where a path is given."""
    for name, value in figures.items():
        print(f"{name:32} {value:10.3f}")
    if path:
        Path(path).write_text(json.dumps({"figures": figures}, indent=1) + "\n")


class PeakMemory:
    """The greatest proportional set size of this process and its descendants together, while it is open.

    Proportional: a page that n processes share counts 1/n for each, so the sum is what the machine holds.
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
        own = psutil.Process()
        while not self._stop.wait(self._every_s):
            total = 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.NoSuchProcess:
                    continue  # it ended between the two calls
            self.peak_bytes = max(self.peak_bytes, total)
