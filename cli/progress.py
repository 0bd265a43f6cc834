"""Progress of long work, on standard error: bars on a terminal, else a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_EVERY_S = 5.0
COUNT_EVERY_S = 0.2


class Meter:
    """Shows the number of completed items and their rate; on a terminal also the time left, and an earlier stage.

    Nothing is shown before the first item. Items may be counted in several threads.
    """

    def __init__(self, label: str, total: int | Callable[[], int], *, earlier: str = "", is_shown: bool = True) -> None:
        """Starts the clock.

        Args:
            label: The noun for the items.
            total: The number of items; a function if it becomes smaller while the work goes on.
            earlier: The label of an earlier stage of the items, if there is one.
            is_shown: Whether to show anything.
        """
        self._label, self._earlier, self._total, self._is_shown = label, earlier, total, is_shown
        self._done: Counter[str] = Counter()
        self._started = self._printed = time.monotonic()
        self._lock = Lock()
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()
        elif self._done[self._label]:
            self._print()

    def advance(self, n: int = 1) -> None:
        """Counts n more items."""
        self._count(self._label, n)

    def advance_earlier(self) -> None:
        """Counts an item that has passed the earlier stage."""
        self._count(self._earlier, 1)

    def _count(self, label: str, n: int) -> None:
        if not self._is_shown:
            return
        with self._lock:
            self._done[label] += n
            if sys.stderr.isatty():
                self._draw(label)
            elif label == self._label and time.monotonic() - self._printed >= LINE_EVERY_S:
                self._printed = time.monotonic()
                self._print()

    def _draw(self, label: str) -> None:
        if self._bars is None:
            self._bars = _bars()
            self._tasks = {
                stage: self._bars.add_task(stage, rate="") for stage in (self._earlier, self._label) if stage
            }
            self._bars.start()
        task = self._tasks[label]
        self._bars.update(task, completed=self._done[label], total=self._n_total(), rate=self._rate(label))

    def _n_total(self) -> int:
        return self._total() if callable(self._total) else self._total

    def _rate(self, label: str) -> str:
        return f"{self._done[label] / max(time.monotonic() - self._started, 1e-9):.1f}/s"

    def _print(self) -> None:
        done = self._done[self._label]
        print(f"{self._label}: {done}/{self._n_total()}  {self._rate(self._label)}", file=sys.stderr)


class Count:
    """Shows how many items were found so far, in a line on a terminal that is cleared at the end; elsewhere nothing."""

    def __init__(self, label: str) -> None:
        """Starts the clock; `label` is the noun for the items."""
        self._label, self._printed = label, time.monotonic()
        self._shown = ""

    def __enter__(self) -> Count:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print(f"\r{' ' * len(self._shown)}\r", end="", file=sys.stderr, flush=True)

    def show(self, n: int) -> None:
        """Shows the number of items, if the one before has been there long enough to be read."""
        now = time.monotonic()
        if now - self._printed < COUNT_EVERY_S or not sys.stderr.isatty():
            return
        self._printed, self._shown = now, f"{self._label}: {n}"
        print(f"\r{self._shown}", end="", file=sys.stderr, flush=True)


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
