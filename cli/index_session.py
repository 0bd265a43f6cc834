"""A private index Flow, started by the first document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from cli.progress import Meter
from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.settings import Settings
from crossmodal.core.types import Document, Vectors
from crossmodal.ingest.job import Pending
from serving.jina.supervisor import prepare_jina, running_flow

if TYPE_CHECKING:
    from executors.schema import MediaDoc

CAPTIONS_PER_REQUEST = 128


class IndexSession:
    """Sends documents through an index Flow, which the first document starts."""

    def __init__(self, settings: Settings, collection: Collection, before_start: Callable[[], None]) -> None:
        """Stores the settings; the Flow is not started yet.

        Args:
            settings: The ports and the devices of the Flow.
            collection: The collection to index into.
            before_start: Called before the Flow is forked, to close SQLite files, which must not be open across a fork.
        """
        self._settings, self._collection, self._before_start = settings, collection, before_start
        self._started = ExitStack()
        self._is_started = False

    def __enter__(self) -> IndexSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._is_started and kind is None:
                self._write_snapshots()
        finally:
            self._started.close()

    def send(
        self, label: str, docs: Iterator[MediaDoc], done: Callable[[MediaDoc], None], total: int, request_size: int = 0
    ) -> None:
        """Sends all documents, and calls `done` with each as it comes back.

        Args:
            label: The noun for the documents in the progress display.
            docs: The documents, read as fast as the Flow accepts them.
            done: Called in the order of the documents.
            total: Approximate number of documents, for the progress display.
            request_size: Documents per request; by default the settings'.

        Raises:
            StateError: The Flow failed.
        """
        first = next(docs, None)
        if first is None:
            return
        self._start()
        from serving.jina.flow_client import call

        with Meter(label, total) as meter:

            def answered(answers: Iterable[MediaDoc]) -> None:
                for doc in answers:
                    done(doc)
                    meter.advance()

            settings = replace(self._settings, request_size=request_size or self._settings.request_size)
            call(settings, "/index", chain([first], docs), answered)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """The unit vectors (n, dim) of the texts, in order, by the collection's model.

        Raises:
            StateError: The Flow failed, or a text can't be encoded.
        """
        self._start()
        from executors.schema import MediaDoc
        from serving.jina.flow_client import call

        vectors: dict[str, Vectors] = {}
        docs = [MediaDoc(id=str(i), modality="text", text=text) for i, text in enumerate(texts)]

        def answered(answers: Iterable[MediaDoc]) -> None:
            for doc in answers:
                if doc.embedding is not None:
                    vectors[doc.id] = np.asarray(doc.embedding, np.float32)

        call(replace(self._settings, request_size=CAPTIONS_PER_REQUEST), "/encode", docs, answered)
        missing = [doc.text for doc in docs if doc.id not in vectors]
        if missing:
            raise StateError(f"{len(missing)} texts were not encoded, first {missing[0]!r}")
        return np.stack([vectors[doc.id] for doc in docs])

    def _start(self) -> None:
        if not self._is_started:
            self._before_start()
            flow = running_flow("index", self._collection, self._settings, read_paths=True)
            self._started.enter_context(flow)
            self._is_started = True

    def _write_snapshots(self) -> None:
        """Makes both vector indexes write their snapshots."""
        from executors.schema import MediaDoc
        from serving.jina.flow_client import call

        call(self._settings, "/snapshot", iter([MediaDoc(id="snapshot")]), lambda _: None)


def image_doc(pending: Pending) -> MediaDoc:
    """The document to send for a picture: with its path, or with its bytes if it has no file."""
    document = pending.document
    doc = _media_doc()(id=document.id, modality="image", uri=document.uri, tags=document.tags)
    if pending.content is not None:
        from executors.schema import to_array

        doc.content = to_array(pending.content)
    return doc


def caption_doc(caption: Document) -> MediaDoc:
    """The document to send for a caption."""
    return _media_doc()(
        id=caption.id, modality="text", text=caption.text, image_id=caption.image_id, uri=caption.uri, tags=caption.tags
    )


@cache
def _media_doc() -> type[MediaDoc]:
    """The class `MediaDoc`, imported on first use because the import takes seconds."""
    prepare_jina()
    from executors.schema import MediaDoc

    return MediaDoc
