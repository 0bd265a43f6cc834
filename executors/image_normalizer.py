"""ImageNormalizer: decodes pictures to upright uint8 pixels at the model's input size."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from docarray import DocList
from jina import Executor, requests

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.ahead import DECODERS
from crossmodal.core.errors import PictureError
from crossmodal.core.settings import MetadataChoice
from crossmodal.images.prepare import prepare
from crossmodal.metadata.tags import with_metadata
from executors.context import unescaped
from executors.schema import MediaDoc, to_array, to_bytes, valid_docs


class ImageNormalizer(Executor):
    """Resizes and crops as the collection's model expects; the encoder normalizes the values."""

    def __init__(self, collection: str, metadata: MetadataChoice = "all", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.metadata = metadata
        self.preprocessing = GenerationCache(unescaped(collection), lambda opened: opened.model.preprocessing)
        self.decoders = ThreadPoolExecutor(DECODERS)

    @requests(on=["/search", "/encode", "/health"])
    def normalize(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Fills `pixels` and removes the encoded picture."""
        for doc in valid_docs(docs, "image"):
            self._normalize(doc, keep=False)
        return docs

    @requests(on="/index")
    def normalize_to_store(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """As `normalize`, and adds a thumbnail and the metadata; the encoded picture is kept if it has no file."""
        # Decoding releases the interpreter's lock; a large photograph takes longer to decode than to encode.
        list(self.decoders.map(lambda doc: self._normalize(doc, keep=True), valid_docs(docs, "image")))
        return docs

    def close(self) -> None:
        """Ends the threads."""
        self.decoders.shutdown()

    def _normalize(self, doc: MediaDoc, keep: bool) -> None:
        start = time.perf_counter()
        doc.generation, preprocessing = self.preprocessing.current()
        try:
            prepared = prepare(to_bytes(doc.content), preprocessing, with_thumbnail=keep, with_metadata=keep)
        except PictureError as error:
            doc.error, doc.content = str(error), None
            return
        doc.pixels, doc.mime_type = prepared.pixels, prepared.mime_type
        doc.width, doc.height = prepared.width, prepared.height
        if prepared.thumbnail is not None:
            doc.thumbnail = to_array(prepared.thumbnail)
            doc.note = "; ".join(prepared.notes)
            doc.tags = with_metadata(doc.tags, prepared.embedded, doc.uri, self.metadata)
        if not keep or os.path.isfile(doc.uri):
            doc.content = None
        doc.timings_ms = {**doc.timings_ms, "normalize": (time.perf_counter() - start) * 1e3}
