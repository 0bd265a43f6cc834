"""The process beside a service that keeps its collection in step with a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import cli
from cli.printing import say_aside
from crossmodal.collection.collection import Collection
from crossmodal.collection.watch_state import WatchState
from crossmodal.core.settings import Settings
from serving.jina.processes import ended_with_us

STOP_S = 30.0
"""Seconds for the process to write its snapshots when the service stops."""


@contextmanager
def watched_beside(collection: Collection, settings: Settings) -> Iterator[None]:
    """Runs `watch` in a process of its own during the block, if the settings name a folder.

    If the process ends before, the service goes on; GET /status and a line on standard error say so.
    """
    if settings.watch is None:
        yield
        return
    folder = str(settings.watch)
    WatchState(folder, "starting").write(collection.root)
    package = str(Path(cli.__file__).parents[1])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    process = ended_with_us(_command(collection, settings), {**os.environ, "PYTHONPATH": path})
    is_stopping = Event()
    observer = Thread(target=_observe, args=(process, is_stopping, collection.root, folder), daemon=True)
    observer.start()
    try:
        yield
    finally:
        is_stopping.set()
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            say_aside(f"warning: watching {folder} did not stop within {STOP_S:g} s and was killed")
            process.kill()
        observer.join()


def _command(collection: Collection, settings: Settings) -> list[str]:
    engine = settings.engine
    options = {
        "--workspace": settings.workspace,
        "--collection": collection.root.name,
        "--threads": settings.threads,
        "--device": engine.device,
        "--engine": engine.backend,
        "--precision": engine.precision,
    }
    values = [part for name, value in options.items() for part in (name, str(value))]
    flags = ["--no-gps"] if settings.metadata == "without-gps" else []
    flags += ["--polling"] if settings.polling else []
    return [sys.executable, "-m", "cli.start", "watch", *values, *flags, "--", str(settings.watch)]


def _observe(process: subprocess.Popen[bytes], is_stopping: Event, root: Path, folder: str) -> None:
    """Reports the end of the process, unless it was asked to stop."""
    code = process.wait()
    if is_stopping.is_set():
        return
    if WatchState.read(root, folder).state != "failed":  # otherwise it has said why
        WatchState(folder, "failed", f"the watching process ended with exit code {code}").write(root)
    say_aside(
        f"error: watching {folder} ended (exit code {code}); the service goes on without it. Restart it to resume"
    )
