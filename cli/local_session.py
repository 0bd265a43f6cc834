"""Indexes in this process, without a Flow."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType

from cli.printing import say_aside
from cli.progress import Meter
from crossmodal.collection.collection import Collection
from crossmodal.core.settings import Settings
from crossmodal.core.types import Document, Vectors
from crossmodal.ingest.job import READERS, Done, EncodedDocument, Pending
from crossmodal.ingest.pipeline import Pipeline


class LocalSession:
    """Encodes and commits documents in this process.

    Within the context, which can be entered again, SIGTERM ends the run as Ctrl-C does: what is committed stays, and
    the report is written. Encoders stay loaded from one time to the next.
    """

    readers = READERS
    """Threads that may read files ahead."""

    def __init__(self, settings: Settings, collection: Collection, *, shows_progress: bool = True) -> None:
        """Stores the settings; nothing is loaded before it is needed."""
        self.collection, self.shows_progress = collection, shows_progress
        self._pipeline = Pipeline(
            collection,
            batch_size=settings.request_size,
            threads=settings.threads,
            engine=settings.engine,
            say=say_aside,
            metadata=settings.metadata,
        )
        self._entered = ExitStack()

    def __enter__(self) -> LocalSession:
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            self._entered.callback(signal.signal, signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._entered.enter_context(self._pipeline)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.__exit__(kind, error, trace)

    def send_pictures(self, pictures: Iterator[Pending], done: Done, total: Callable[[], int]) -> None:
        """Encodes and commits pictures, and shows the progress.

        Args:
            pictures: Taken a few batches ahead.
            done: Called with each picture, in their order, when it is committed or has an error.
            total: The approximate number of pictures, for the progress display.

        Raises:
            StateError: As `Pipeline.add_pictures`.
        """
        with Meter("pictures", total, earlier="pictures decoded", is_shown=self.shows_progress) as meter:

            def committed(picture: EncodedDocument) -> None:
                done(picture)
                meter.advance()

            self._pipeline.add_pictures(pictures, committed, meter.advance_earlier)

    def send_captions(self, captions: Iterator[Document], done: Done, total: Callable[[], int]) -> None:
        """As `send_pictures`, for captions."""
        with Meter("captions", total, is_shown=self.shows_progress) as meter:

            def committed(caption: EncodedDocument) -> None:
                done(caption)
                meter.advance()

            self._pipeline.add_captions(captions, committed)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """The unit vectors (n, dim) of texts, in order, by the collection's model."""
        return self._pipeline.encode(texts)
