"""ImageNormalizer: decodes pictures to upright uint8 pixels at the model's input size, and names those to index."""

import math
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jina import requests

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.ahead import DECODERS
from crossmodal.core.errors import PictureError
from crossmodal.core.settings import MetadataChoice
from crossmodal.core.types import Preprocessing, image_id
from crossmodal.images.decode import register_formats
from crossmodal.images.prepare import prepare
from crossmodal.images.sources import from_file
from crossmodal.metadata.tags import with_metadata
from executors.base import CrossModalExecutor
from executors.context import unescaped
from executors.schema import Docs, MediaDoc, to_array, to_bytes, valid_docs
from executors.shared_memory import send_pixels, send_thumbnail

QUICK_MS = 2.0 if DECODERS <= 2 else 0.0
"""Pictures of less processor time than this are decoded one after the other. Two threads are not faster, and take a
quarter more processor time, because they pass the interpreter's lock to and fro several times a millisecond. This was
measured on two cores; with more, the encoder can be faster than one thread that decodes."""


class ImageNormalizer(CrossModalExecutor):
    """Resizes and crops as the collection's model expects; the encoder normalizes the values.

    Files are read only in the private Flow of an indexing job (`read_paths`).
    """

    def __init__(
        self, collection: str, metadata: MetadataChoice = "all", read_paths: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.metadata, self.read_paths = metadata, read_paths
        self.preprocessing = GenerationCache(unescaped(collection), lambda opened: opened.model.preprocessing)
        self.decoders = ThreadPoolExecutor(DECODERS)
        self.last_ms = math.inf
        """Median processor time of the pictures of the last request that was indexed."""
        register_formats()  # here, so that the first picture does not wait for it

    @requests(on=["/search", "/encode", "/health"])
    def normalize(self, docs: Docs, **_: Any) -> Docs:
        """Sends the pixels to the encoder and removes the encoded picture."""
        current = self.preprocessing.current()
        for doc in valid_docs(docs, "image"):
            self._normalize(doc, current, keep=False)
        return docs

    @requests(on="/index")
    def normalize_to_store(self, docs: Docs, **_: Any) -> Docs:
        """As `normalize`; sets the id by the content, and adds a thumbnail and the metadata.

        The encoded picture is kept if it has no file.
        """

        def spent_ms(doc: MediaDoc) -> float:
            start = time.thread_time()
            self._normalize(doc, current, keep=True)
            return (time.thread_time() - start) * 1e3

        current, images = self.preprocessing.current(), valid_docs(docs, "image")
        # Decoding releases the interpreter's lock; a large photograph takes longer to decode than to encode.
        each = map if self.last_ms < QUICK_MS else self.decoders.map
        if spent := list(each(spent_ms, images)):
            self.last_ms = statistics.median(spent)
        return docs

    def close(self) -> None:
        """Ends the threads."""
        self.decoders.shutdown()

    def _normalize(self, doc: MediaDoc, current: tuple[str, Preprocessing], keep: bool) -> None:
        start = time.perf_counter()
        doc.generation, preprocessing = current
        try:
            content = self._content(doc)
            if keep:
                doc.id = image_id(content)
            prepared = prepare(content, preprocessing, with_thumbnail=keep, with_metadata=keep)
        except PictureError as error:
            doc.error, doc.content = str(error), None
            return
        send_pixels(doc, prepared.pixels)
        doc.mime_type, doc.width, doc.height = prepared.mime_type, prepared.width, prepared.height
        if prepared.thumbnail is not None:
            send_thumbnail(doc, to_array(prepared.thumbnail))
            doc.note = "; ".join(prepared.notes)
            doc.tags = with_metadata(doc.tags, prepared.embedded, doc.uri, self.metadata)
        if doc.content is not None and (not keep or os.path.isfile(doc.uri)):
            doc.content = None
        doc.timings_ms = {**doc.timings_ms, "normalize": (time.perf_counter() - start) * 1e3}

    def _content(self, doc: MediaDoc) -> bytes:
        if doc.content is not None:
            return to_bytes(doc.content)
        if self.read_paths:
            return from_file(Path(doc.uri))
        raise PictureError("the picture is missing")
