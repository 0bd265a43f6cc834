"""Indexes through a private index Flow, which the first document starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from itertools import chain
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cli.printing import say_aside
from cli.progress import Meter
from crossmodal.collection.collection import Collection
from crossmodal.core.engine import EngineRequest, MadeWith
from crossmodal.core.errors import StateError
from crossmodal.core.settings import Settings
from crossmodal.core.types import Document, ModelSpec, Vectors
from crossmodal.encoders import engine_choice, registry
from crossmodal.encoders.engine_choice import Say
from crossmodal.ingest.job import Done, Pending
from serving.jina.ports import reserve_port_pair
from serving.jina.supervisor import prepare_jina, running_flow

if TYPE_CHECKING:
    from executors.schema import MediaDoc

CAPTIONS_PER_REQUEST = 128
T = TypeVar("T")


def resolve(model: str, weights: str) -> ModelSpec:
    """The result of `registry.resolve`, computed in a child process unless the weights are bundled.

    Resolving other weights runs torch, and a process in which torch has run can't fork a Flow.
    """
    if weights in registry.BUNDLED_NAMES:
        return registry.resolve(model, weights)
    return _in_child(registry.resolve, model, weights)


def precision_of_new(spec: ModelSpec, request: EngineRequest, say: Say) -> MadeWith:
    """The result of `engine_choice.precision_of_new`, in a child process if the model has to be converted."""
    if engine_choice.new_is_prepared(spec, request):
        return engine_choice.precision_of_new(spec, request, say)
    return _in_child(engine_choice.precision_of_new, spec, request, say)


def prepare_engine(collection: Collection, settings: Settings) -> None:
    """Calls `engine_choice.prepare`, in a child process, which may run torch."""
    if engine_choice.is_prepared(collection.model, settings.engine, collection.made_with):
        return
    _in_child(engine_choice.prepare, collection.model, settings.engine, collection.made_with, say_aside)


def _in_child(function: Callable[..., T], *arguments: object) -> T:
    prepare_jina()  # before the fork, so that the child and the Flow share the imported modules
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(function, *arguments).result()


class FlowSession:
    """Sends documents through an index Flow, as `LocalSession` encodes them in this process."""

    readers = 0
    """A process that forks a Flow reads no files in threads."""

    def __init__(self, settings: Settings, collection: Collection, before_start: Callable[[], None]) -> None:
        """Reserves ports; the Flow is not started yet.

        Args:
            settings: The devices and the batches of the Flow.
            collection: The collection to index into.
            before_start: Called before the Flow is forked, to close SQLite files, which must not be open across a fork.
        """
        self._settings = replace(settings, port=reserve_port_pair(), host="127.0.0.1")
        self._collection, self._before_start = collection, before_start
        self._started = ExitStack()
        self._is_started = False

    def __enter__(self) -> FlowSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._is_started and kind is None:
                self._write_snapshots()
        finally:
            self._is_started = False
            self._started.close()

    def send_pictures(self, pictures: Iterator[Pending], done: Done, total: Callable[[], int]) -> None:
        """Sends pictures, by path if they have a file, and calls `done` with each as it comes back, in order.

        Args:
            pictures: Taken as fast as the Flow accepts them.
            done: Called in the order of the pictures.
            total: The approximate number of pictures, for the progress display.

        Raises:
            StateError: The Flow failed.
        """
        self._send("pictures", map(_image_doc, pictures), done, total, self._settings.request_size)

    def send_captions(self, captions: Iterator[Document], done: Done, total: Callable[[], int]) -> None:
        """As `send_pictures`, for captions."""
        self._send("captions", map(_caption_doc, captions), done, total, CAPTIONS_PER_REQUEST)

    def _send(self, label: str, docs: Iterator[MediaDoc], done: Done, total: Callable[[], int], size: int) -> None:
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

            call(replace(self._settings, request_size=size), "/index", chain([first], docs), answered)

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
            prepare_engine(self._collection, self._settings)
            flow = running_flow("index", self._collection, self._settings, read_paths=True)
            self._started.enter_context(flow)
            self._is_started = True

    def _write_snapshots(self) -> None:
        """Makes both vector indexes write their snapshots."""
        from executors.schema import MediaDoc
        from serving.jina.flow_client import call

        call(self._settings, "/snapshot", iter([MediaDoc(id="snapshot")]), lambda _: None)


def _image_doc(pending: Pending) -> MediaDoc:
    document = pending.document
    doc = _media_doc()(id=document.id, modality="image", uri=document.uri, tags=document.tags)
    if (content := pending.content_without_file) is not None:
        from executors.schema import to_array

        doc.content = to_array(content)
    return doc


def _caption_doc(caption: Document) -> MediaDoc:
    return _media_doc()(
        id=caption.id, modality="text", text=caption.text, image_id=caption.image_id, uri=caption.uri, tags=caption.tags
    )


@cache
def _media_doc() -> type[MediaDoc]:
    """The class `MediaDoc`, imported on first use because the import takes seconds."""
    prepare_jina()
    from executors.schema import MediaDoc

    return MediaDoc
