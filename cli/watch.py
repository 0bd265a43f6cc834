"""watch: keeps a collection in step with a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from threading import Event

from cli.index import run_job
from cli.local_session import LocalSession
from cli.watch_text import FolderTexts, ReaderError
from cli.wording import with_commands
from crossmodal.collection.collection import Collection
from crossmodal.collection.watch_state import WatchState
from crossmodal.core.errors import CrossModalError
from crossmodal.core.os_errors import ENVIRONMENT_ERRNOS, reason
from crossmodal.core.report import Report
from crossmodal.core.settings import Settings
from crossmodal.core.types import MODALITIES, Record
from crossmodal.datasets.captions import READERS
from crossmodal.datasets.changes import FolderChanges
from crossmodal.datasets.folder import read_path
from crossmodal.datasets.ignore import IGNORE_FILE
from crossmodal.datasets.registry import source_of_path
from crossmodal.ingest.job import IndexJob
from crossmodal.ingest.removals import KEPT
from crossmodal.ingest.settling import FileState, Settled, Settling, changed_since, file_state

RETRY_S = 10.0
"""How long after an obstacle (no folder, another writer, a full disk) the folder is looked at again."""
MAX_LISTED = 5
"""Failures that one batch lists."""
_OUTCOMES = ("indexed", "updated", "removed", "failed")

Say = Callable[[str], None]


class Watcher:
    """Indexes what changes in a folder, in batches, and removes what is gone.

    It compares the whole folder with the collection each time, so what happened while it did not run counts, too.
    Pictures are removed as by `index --prune --yes`: only if it is certain that the file is gone. Nothing is removed
    while the folder does not exist, can't be listed, or is empty although it was not.
    """

    def __init__(
        self, collection: Collection, settings: Settings, stop: Event, say: Say, *, debounce_s: float, polling: bool
    ) -> None:
        """Stores the arguments.

        Args:
            collection: The collection, which exists.
            settings: The folder is its `data_set`, with the patterns of `exclude`.
            stop: Ends `run`.
            say: Receives a line for each batch, and for each new obstacle.
            debounce_s: Seconds for which a file must not change before it is read.
            polling: Whether to compare all files regularly instead of waiting for events.
        """
        self._collection, self._settings, self._stop, self._say = collection, settings, stop, say
        self._folder, self._debounce_s = Path(settings.data_set), debounce_s
        self._source = source_of_path(self._folder)
        self._changes = FolderChanges(self._folder, stop, polling=polling, besides=[settings.workspace])
        self._session: LocalSession | None = None
        self._texts_in_pictures = FolderTexts(self._source, settings.threads)
        self._settling = Settling()
        self._done: dict[str, str] | None = None
        self._printed_remarks: AbstractSet[str] = frozenset()
        self._unread: AbstractSet[str] = frozenset()
        self._state = WatchState(str(self._folder), "starting")

    def run(self) -> None:
        """Watches until `stop` is set, or until an exception such as KeyboardInterrupt.

        Raises:
            StateError: The operating system offers no events for so many folders.
        """
        self._state.write(self._collection.root)
        ended = WatchState(str(self._folder), "failed", "watching ended with an error; the log has the reason")
        try:
            for paths in self._changes:
                self._step(paths)
            ended = WatchState(str(self._folder), "stopped")
        except KeyboardInterrupt:
            ended = WatchState(str(self._folder), "stopped")
            raise
        except CrossModalError as error:
            ended = WatchState(str(self._folder), "failed", str(error))
            raise
        finally:
            self._texts_in_pictures.close()
            ended.write(self._collection.root)

    def _step(self, paths: AbstractSet[str]) -> None:
        """Brings the collection in step once; an obstacle is printed, and tried again later."""
        try:
            if obstacle := self._look(paths):
                self._wait_for(f"{obstacle}; nothing is removed")
            elif not self._stop.is_set():
                self._read_text()
        except CrossModalError as error:
            self._wait_for(str(error))
        except OSError as error:
            if error.errno not in ENVIRONMENT_ERRNOS:
                raise
            self._wait_for(reason(error))

    def _wait_for(self, obstacle: str) -> None:
        if (self._state.state, self._state.message) != ("waiting", obstacle):
            self._tell("waiting", obstacle)
        self._changes.look_again(RETRY_S, anew=True)

    def _tell(self, state: str, message: str) -> None:
        prefix = "waiting: " if state == "waiting" else ""
        self._say(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {prefix}{with_commands(message)}")
        self._state = WatchState(str(self._folder), "waiting" if state == "waiting" else "in step", message)
        self._state.write(self._collection.root)

    def _look(self, paths: AbstractSet[str]) -> str:
        """Compares the folder with the collection and indexes the differences; returns an obstacle, if there is one."""
        started = time.monotonic()
        if self._done is None:
            self._collection.store(writable=True).close()  # creates it if it does not exist
        self._collection = Collection.open(self._collection.root)
        job = IndexJob(self._collection, self._source)
        try:
            if obstacle := self._obstacle(job):
                return obstacle
            texts = self._texts(paths)
            records = list(read_path(self._folder, exclude=self._settings.exclude, may_be_empty=True))
            settled = self._settling.settled(records, job.ledger.known_files, lambda: self._stop.wait(self._debounce_s))
            are_texts_settled = texts == {path: file_state(path) for path in texts}
            if settled.unsettled or not are_texts_settled:
                self._changes.look_again(self._debounce_s)
            if self._stop.is_set() or not are_texts_settled:
                return ""
            if obstacle := self._obstacle(job):
                return obstacle
            known = job.ledger.known_files
            todo = settled.records if self._done is None else changed_since(self._done, settled, known)
            if todo is not None:
                self._index(job, settled, todo)
                self._report(job.report, settled, time.monotonic() - started)
                self._done = settled.parts
            if self._state.state == "waiting":
                self._tell("in step", "nothing has changed")
        finally:
            job.release()
        return ""

    def _obstacle(self, job: IndexJob) -> str:
        """Why the folder can't be compared with the collection, if it can't."""
        try:
            is_empty = not os.listdir(self._folder)
        except OSError as error:
            return f"{self._folder} can't be read: {reason(error, self._folder)}"
        if is_empty and job.ledger.known_files:
            return f"{self._folder} is empty; its disk may not be mounted"
        return ""

    def _texts(self, paths: AbstractSet[str]) -> dict[str, FileState]:
        """The files of captions and rules that may be being written, with their state."""
        beside = [entry.path for entry in os.scandir(self._folder)]
        return {path: file_state(path) for path in (*beside, *paths) if _is_text(path)}

    def _index(self, job: IndexJob, settled: Settled, todo: Sequence[Record]) -> None:
        """Commits the differences; takes the lock of the collection only for that."""
        job.ledger.listed |= settled.parts.keys() | settled.unsettled | settled.failed
        if self._session is None or self._session.collection != self._collection:
            is_first = self._done is None
            self._session = LocalSession(self._settings, self._collection, shows_progress=is_first)
        try:
            name = self._settings.data_set
            run_job(job, self._collection, self._session, name, todo, prune=True, confirmed=True)
        finally:
            self._session.shows_progress = False
            self._settling.remember(todo, job.report.failures)

    def _read_text(self) -> None:
        """Reads the text in some new pictures; the next look reads more."""
        started = time.monotonic()
        try:
            report, n_left = self._texts_in_pictures.read_some(self._collection)
        except ReaderError as error:
            self._tell("in step", str(error))
            return
        if report.read:
            left = f", {n_left} left" if n_left else ""
            counts = f"text in pictures: {report.read} read, {report.with_text} of them with text{left}"
            self._tell("in step", f"{counts} ({time.monotonic() - started:.1f} s)")
        for failure in report.failures[:MAX_LISTED]:
            self._say(f"  text not read: {failure.path}: {failure.reason}")
        if len(report.failures) > MAX_LISTED:
            more = len(report.failures) - MAX_LISTED
            self._say(with_commands(f"  ... and {more} more; `python app.py -t ocr` tries them again"))
        if n_left:
            self._changes.look_again(0)

    def _report(self, report: Report, settled: Settled, took_s: float) -> None:
        """Tells the outcome of a batch in one line, then its new failures and what is kept without a proof."""
        parts = [
            f"{noun}: {', '.join(counts)}"
            for modality, noun in zip(MODALITIES, ("pictures", "captions"), strict=True)
            if (counts := [f"{n} {outcome}" for outcome in _OUTCOMES if (n := report.counts[modality][outcome])])
        ]
        if self._done is None:
            parts = parts or ["nothing has changed"]
            left_out = ", ".join(f"{skipped.n} {skipped.reason}" for skipped in report.skipped)
            parts += [f"left out: {left_out}"] if left_out else []
        if settled.unsettled:
            parts.append(f"{len(settled.unsettled)} still being written")
        remarks = {f"failed: {item.path}: {item.reason}" for item in report.failures}
        remarks |= {f"{note.path}: {note.reason}" for note in report.notes if note.reason.startswith(KEPT)}
        new = sorted(remarks - self._printed_remarks)
        if parts or new:
            self._tell("in step", f"{'; '.join(parts or ['nothing has changed'])} ({took_s:.1f} s)")
        for remark in new[:MAX_LISTED]:
            self._say(f"  {remark}")
        if len(new) > MAX_LISTED:
            self._say(f"  ... and {len(new) - MAX_LISTED} more, in last-index.json of the collection")
        self._printed_remarks = remarks
        unread = {failure.path for failure in report.failures if os.path.isdir(failure.path)}
        if unread != self._unread:
            self._changes.look_again(0, anew=True)
        self._unread = unread


def _is_text(path: str) -> bool:
    """Whether a path may be a file of captions or rules."""
    return os.path.splitext(path)[1].lower() in {".txt", *READERS} or os.path.basename(path) == IGNORE_FILE
