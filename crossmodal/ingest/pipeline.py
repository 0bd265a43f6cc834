"""Encodes and commits documents in this process, without a Flow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.collection.encoder import prepared_encoder
from crossmodal.collection.indexes import every_index
from crossmodal.core.ahead import DECODERS, MAX_BYTES, map_ahead
from crossmodal.core.batched import batched
from crossmodal.core.engine import AUTOMATIC, EngineRequest
from crossmodal.core.errors import PictureError
from crossmodal.core.protocols import Encoder
from crossmodal.core.settings import MetadataChoice, Settings
from crossmodal.core.types import Document, Modality, Vectors
from crossmodal.encoders.engine_choice import Say
from crossmodal.encoders.reading import unread_note
from crossmodal.engines import devices
from crossmodal.images.prepare import Prepared, prepare
from crossmodal.index.follow import follow_store
from crossmodal.index.replica import StoreReplica
from crossmodal.ingest.commit import commit
from crossmodal.ingest.job import Done, Pending
from crossmodal.metadata.tags import with_metadata
from crossmodal.store.protocol import Store
from crossmodal.store.records import NewDocument

log = logging.getLogger(__name__)

CAPTIONS_PER_BATCH = 128


@dataclass
class Encoded:
    """The result of a document, an `EncodedDocument`."""

    id: str
    modality: str
    uri: str
    text: str
    error: str = ""
    note: str = ""
    outcome: str = ""

    @classmethod
    def of(cls, document: Document, error: str = "", note: str = "") -> Encoded:
        """The result of a document before its commit."""
        return cls(document.id, document.modality, document.uri, document.text, error, note)


@dataclass(frozen=True)
class _Ready:
    """A picture to encode, or only the result of one that can't be decoded; `content` is stored if it has no file."""

    result: Encoded
    document: Document
    made: Prepared | None = None
    content: bytes | None = None


class Pipeline:
    """Adds documents to a collection: decodes pictures while earlier ones are encoded and still earlier ones committed.

    The first document opens the store and takes its lock. Leaving the context writes the snapshots of the indexes,
    also after Ctrl-C, and releases the lock. An encoder is loaded when it is needed, and replaced by that of the other
    modality.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        batch_size: int = Settings.request_size,
        threads: int = 0,
        engine: EngineRequest = AUTOMATIC,
        say: Say = log.warning,
        metadata: MetadataChoice = "all",
    ) -> None:
        """Stores the arguments; nothing is opened or loaded yet.

        Args:
            collection: The collection; its store is created if it does not exist.
            batch_size: Pictures that are encoded and committed together; on a GPU at least `GPU_BATCH`.
            threads: Threads of the encoder; 0 for all cores.
            engine: How the encoder runs.
            say: Called with messages about the choice of the engine, and about a conversion of the model.
            metadata: The metadata of pictures that becomes tags.
        """
        self._collection, self._batch_size = collection, batch_size
        self._threads, self._engine, self._say, self._metadata = threads, engine, say, metadata
        self._opened = ExitStack()
        self._store: Store | None = None
        self._indexes: list[StoreReplica[Any]] = []
        self._encoders: dict[Modality, Encoder] = {}

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._opened:
            if self._store is not None and kind in (None, KeyboardInterrupt):
                follow_store(self._indexes, is_end=True)
            self._store = None

    def add_pictures(self, pictures: Iterable[Pending], done: Done, prepared: Callable[[], None]) -> None:
        """Encodes and commits pictures.

        Args:
            pictures: The pictures, taken in this thread.
            done: Called with each picture, in order, when it is committed or has an error.
            prepared: Called in another thread when a picture is decoded or could not be decoded.

        Raises:
            StateError: The weights have changed, the disk is full, or another process writes to the collection.
        """

        def work(pending: Pending) -> _Ready:
            try:
                return self._ready(pending)
            finally:
                prepared()

        threads, batch_size = DECODERS, self._on_device(self._batch_size)
        ahead = batch_size + 2 * threads
        ready = map_ahead(work, pictures, threads=threads, at_most=ahead, size=lambda picture: len(picture.content))
        batches = _batches(ready, batch_size)
        # A batch is encoded while the previous one is committed, which occupies one core.
        encoded = map_ahead(self._encode_batch, batches, threads=1, at_most=2, size=_size)
        with closing(ready), closing(encoded):
            for batch, vectors in encoded:
                self._commit_pictures(batch, vectors, done)

    def add_captions(self, captions: Iterable[Document], done: Done) -> None:
        """Encodes and commits captions; `done` and the errors are as for `add_pictures`."""
        for batch in batched(captions, self._on_device(CAPTIONS_PER_BATCH)):
            store = self._opened_store()
            results = [Encoded.of(caption, "" if caption.text.strip() else "the text is empty") for caption in batch]
            valid = [(caption, result) for caption, result in zip(batch, results, strict=True) if not result.error]
            if valid:
                encoder = self._encoder("text")
                vectors = encoder.encode_texts([caption.text for caption, _ in valid])
                items = [NewDocument(caption, vector) for (caption, _), vector in zip(valid, vectors, strict=True)]
                for (_, result), (stored, outcome) in zip(valid, commit(store, items), strict=True):
                    result.id, result.outcome, result.note = stored.id, outcome, unread_note(encoder, stored.text)
                follow_store(self._indexes)
            for result in results:
                done(result)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """The unit vectors (n, dim) of texts, in order."""
        return self._encoder("text").encode_texts(texts)

    def _ready(self, pending: Pending) -> _Ready:
        """A picture after decoding; called in several threads."""
        document = pending.document
        try:
            made = prepare(
                pending.content,
                self._collection.model.preprocessing,
                with_thumbnail=True,
                with_metadata=self._metadata != "none",
            )
        except PictureError as error:
            return _Ready(Encoded.of(document, str(error)), document)
        tags = with_metadata(document.tags, made.embedded, document.uri, self._metadata)
        document = replace(document, mime_type=made.mime_type, width=made.width, height=made.height, tags=tags)
        result = Encoded.of(document, note="; ".join(made.notes))
        return _Ready(result, document, made, pending.content_without_file)

    def _encode_batch(self, batch: list[_Ready]) -> tuple[list[_Ready], Vectors | None]:
        """A batch with the vectors of its valid pictures, None without any; called in a thread of its own."""
        pixels = [item.made.pixels for item in batch if item.made is not None]
        return batch, self._encoder("image").encode_images(np.stack(pixels)) if pixels else None

    def _commit_pictures(self, batch: list[_Ready], vectors: Vectors | None, done: Done) -> None:
        store = self._opened_store()
        if vectors is not None:
            valid = [(item, item.made) for item in batch if item.made is not None]
            items = [
                NewDocument(item.document, vector, made.thumbnail, item.content)
                for (item, made), vector in zip(valid, vectors, strict=True)
            ]
            for (item, _), (_, outcome) in zip(valid, commit(store, items), strict=True):
                item.result.outcome = outcome
            follow_store(self._indexes)
        for item in batch:
            done(item.result)

    def _on_device(self, batch_size: int) -> int:
        """The size of batches on the device of the encoder; at least `GPU_BATCH` on a GPU."""
        return devices.batch_size(self._engine.device, batch_size)

    def _opened_store(self) -> Store:
        if self._store is None:
            self._store = self._opened.enter_context(self._collection.store(writable=True))
            self._indexes = list(every_index(self._collection, self._store).values())
        return self._store

    def _encoder(self, modality: Modality) -> Encoder:
        """The encoder with one tower."""
        if modality not in self._encoders:
            self._encoders.clear()
            self._encoders[modality] = prepared_encoder(
                self._collection, (modality,), self._threads or None, self._engine, self._say
            )
        return self._encoders[modality]


def _size(batch: list[_Ready]) -> int:
    """The bytes of the encoded pictures that a batch holds, at least 1."""
    return max(1, sum(len(item.content or b"") for item in batch))


def _batches(items: Iterator[_Ready], at_most: int) -> Iterator[list[_Ready]]:
    """Batches of `at_most` pictures, or fewer if they hold `MAX_BYTES` of encoded pictures."""
    batch: list[_Ready] = []
    held = 0
    for item in items:
        batch.append(item)
        held += len(item.content or b"")
        if len(batch) == at_most or held > MAX_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
