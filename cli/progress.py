"""Progress of long work, on standard error: a bar on a terminal, else a line every few seconds."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 5.0


class Meter:
    """Shows the number of completed items and their rate."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._started = self._printed = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            rate = TextColumn("{task.fields[rate]}")
            self._bar = Progress(*columns, rate, TimeRemainingColumn(), console=Console(stderr=True))
            self._task = self._bar.add_task(label, total=total, rate="")

    def __enter__(self) -> Meter:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()
        elif self._total:
            self._print()

    def advance(self, n: int = 1) -> None:
        """Counts n more items."""
        self._done += n
        now = time.monotonic()
        if self._bar:
            self._bar.update(self._task, completed=self._done, rate=self._rate(now))
        elif now - self._printed >= LINE_EVERY_S:
            self._printed = now
            self._print()

    def _rate(self, now: float) -> str:
        return f"{self._done / max(now - self._started, 1e-9):.1f}/s"

    def _print(self) -> None:
        print(f"{self._label}: {self._done}/{self._total}  {self._rate(time.monotonic())}", file=sys.stderr)
