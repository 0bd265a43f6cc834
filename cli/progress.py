"""Progress: a bar with rate and time left on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 5.0


class Meter:
    """Counts items of one piece of work; everything goes to standard error."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._began = self._told = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            rate = TextColumn("{task.fields[rate]}")
            self._bar = Progress(*columns, rate, TimeRemainingColumn(), console=Console(stderr=True))
            self._task = self._bar.add_task(what, total=total, rate="")

    def __enter__(self) -> Meter:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()
        elif self._total:
            self._say()

    def advance(self, n: int = 1) -> None:
        """Counts n more."""
        self._done += n
        now = time.monotonic()
        if self._bar:
            self._bar.update(self._task, completed=self._done, rate=self._rate(now))
        elif now - self._told >= LINE_EVERY_S:
            self._told = now
            self._say()

    def _rate(self, now: float) -> str:
        return f"{self._done / max(now - self._began, 1e-9):.1f}/s"

    def _say(self) -> None:
        print(f"{self._what}: {self._done}/{self._total}  {self._rate(time.monotonic())}", file=sys.stderr)
