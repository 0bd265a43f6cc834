"""Encodes a part in one process, as `crossmodal.ingest.pipeline` encodes a data set."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from crossmodal import __version__
from crossmodal.bulk.inputs import Input
from crossmodal.bulk.object_store import AWS, ObjectStore
from crossmodal.bulk.parts import EncodedPart, Part, Summary
from crossmodal.collection.encoder import prepared_encoder
from crossmodal.collection.parquet_file import BATCH_ROWS, write_documents
from crossmodal.collection.transfer import Origin
from crossmodal.core.ahead import DECODERS, map_ahead
from crossmodal.core.batched import batched
from crossmodal.core.engine import AUTOMATIC, EngineRequest
from crossmodal.core.errors import PictureError, StateError, TooLargeError
from crossmodal.core.protocols import Encoder
from crossmodal.core.settings import MetadataChoice
from crossmodal.core.types import Document, Failure, Modality, caption_id, image_id
from crossmodal.encoders.engine_choice import Say
from crossmodal.encoders.reading import unread_note
from crossmodal.engines import devices
from crossmodal.images.prepare import Prepared, prepare
from crossmodal.metadata.tags import with_metadata
from crossmodal.store.records import NewDocument

log = logging.getLogger(__name__)

BATCH = 32
"""Pictures that are encoded together on a CPU."""


@dataclass(frozen=True)
class Work:
    """What all parts of a run share: the origin of their vectors, the requested engine, and the object store."""

    origin: Origin
    engine: EngineRequest = AUTOMATIC
    store: ObjectStore = AWS


@dataclass(frozen=True)
class _Ready:
    """A picture after decoding, or why there is none."""

    source: Input
    id: str = ""
    made: Prepared | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    is_unread: bool = False


@dataclass
class _Results:
    """The documents of a part and the outcome of its pictures."""

    pictures: dict[str, NewDocument] = field(default_factory=dict)
    captions: dict[str, Document] = field(default_factory=dict)
    copies: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[Failure] = field(default_factory=list)
    is_complete: bool = True


class PartEncoder:
    """Encodes parts one after the other, with pictures decoded in threads ahead; towers are loaded when needed."""

    def __init__(self, work: Work, threads: int = 0, say: Say = log.warning) -> None:
        """Stores the arguments.

        Args:
            work: The work.
            threads: Threads of the encoder; 0 for all cores.
            say: Called with messages about the choice of the engine, and about a conversion of the model.
        """
        self._work, self._model = work, work.origin.model
        self._threads, self._say = threads, say
        self._encoders: dict[Modality, Encoder] = {}

    def load(self, version: str) -> None:
        """Loads the tower of images, so that a machine that lacks something is found before it gets a part.

        Raises:
            StateError: The program on this machine has another version, or other weights.
        """
        if version != __version__:
            raise StateError(f"it has version {__version__} of this program, expected {version}: install the same one")
        self._encoder("image")

    def encode(self, part: Part) -> EncodedPart:
        """The file of a part; pictures that can't be read or decoded are in its summary.

        Raises:
            StateError: The weights on this machine are missing or others.
        """
        results = _Results()
        batch_size = devices.batch_size(self._work.engine.device, BATCH)
        ready = map_ahead(
            partial(self._ready, part.metadata),
            part.inputs,
            threads=DECODERS,
            at_most=batch_size + 2 * DECODERS,
            size=lambda source: source.size or 1,
        )
        with closing(ready):
            for batch in batched(ready, batch_size):
                self._add_pictures(batch, results)
        texts = self._captions(results)
        summary = Summary(
            len(results.pictures),
            len(texts),
            results.copies,
            tuple(results.failures),
            tuple(results.notes),
            results.is_complete,
        )
        return EncodedPart(self._file([*results.pictures.values(), *texts], summary), summary)

    def _ready(self, metadata: MetadataChoice, source: Input) -> _Ready:
        """A picture after decoding; called in several threads."""
        try:
            content = source.read(self._work.store)
        except PictureError as error:
            return _Ready(source, error=str(error), is_unread=not isinstance(error, TooLargeError))
        try:
            made = prepare(content, self._model.preprocessing, with_thumbnail=True, with_metadata=metadata != "none")
        except PictureError as error:
            return _Ready(source, error=str(error))
        tags = with_metadata(source.tags, made.embedded, source.uri, metadata)
        return _Ready(source, image_id(content), made, tags)

    def _add_pictures(self, batch: Sequence[_Ready], results: _Results) -> None:
        valid = [(item, item.made) for item in batch if item.made is not None]
        if valid:
            vectors = self._encoder("image").encode_images(np.stack([made.pixels for _, made in valid]))
            for (item, made), vector in zip(valid, vectors, strict=True):
                self._add_picture(item, made, vector, results)
        for item in batch:
            if item.error:
                results.is_complete &= not item.is_unread
                results.failures.append(Failure(item.source.uri, item.error))
                why = "a caption of a picture that was not encoded"
                results.failures += [Failure(item.source.uri, why, "text")] * len(item.source.captions)

    def _add_picture(
        self, item: _Ready, made: Prepared, vector: np.ndarray[tuple[int], np.dtype[np.float32]], results: _Results
    ) -> None:
        source, first = item.source, results.pictures.get(item.id)
        if first is not None:
            results.copies += 1
            is_again = source.uri == first.document.uri
            why = "listed again, or by a link to it" if is_again else f"the same picture as {first.document.uri}"
            results.notes.append(Failure(source.uri, why))
        else:
            document = Document(
                item.id, "image", source.uri, made.mime_type, "", made.width, made.height, tags=item.tags
            )
            results.pictures[item.id] = NewDocument(document, vector, made.thumbnail)
            results.notes += [Failure(source.uri, note) for note in made.notes]
        for text in source.captions:
            key = caption_id(text, item.id)
            results.captions[key] = Document(
                key, "text", source.uri, "text/plain", text, image_id=item.id, tags=source.tags
            )

    def _captions(self, results: _Results) -> list[NewDocument]:
        """The captions of a part with their vectors; none if the model encodes images only."""
        documents = list(results.captions.values())
        if not documents:
            return []
        if "text" not in self._model.modalities:
            note = f"{len(documents)} captions skipped: {self._model} encodes images only"
            results.notes.append(Failure(documents[0].uri, note))
            return []
        encoder = self._encoder("text")
        for document in documents:
            if note := unread_note(encoder, document.text):
                results.notes.append(Failure(document.uri, f"caption {document.text[:60]!r}: {note}"))
        vectors = encoder.encode_texts([document.text for document in documents])
        return [NewDocument(document, vector) for document, vector in zip(documents, vectors, strict=True)]

    def _file(self, items: list[NewDocument], summary: Summary) -> bytes:
        file = io.BytesIO()
        write_documents(
            file, batched(items, BATCH_ROWS), {**self._work.origin.to_dict(), **summary.to_dict()}, self._model.dim
        )
        return file.getvalue()

    def _encoder(self, modality: Modality) -> Encoder:
        """The encoder with one tower."""
        if modality not in self._encoders:
            self._encoders[modality] = prepared_encoder(
                self._work.origin, (modality,), self._threads or None, self._work.engine, self._say
            )
        return self._encoders[modality]
