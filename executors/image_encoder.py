"""ImageEncoder: encodes pixels as unit vectors with the image tower of the collection's model."""

import time
from typing import Any

import numpy as np
from docarray import DocList
from jina import requests

from crossmodal.collection.encoder import load_encoder
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.engine import AUTOMATIC, EngineRequest
from executors.base import CrossModalExecutor
from executors.context import unescaped
from executors.schema import MediaDoc, valid_docs


class ImageEncoder(CrossModalExecutor):
    """Encodes all pictures of a request in one batch."""

    def __init__(self, collection: str, threads: int = 0, engine: str = str(AUTOMATIC), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoders = GenerationCache(
            unescaped(collection),
            lambda opened: load_encoder(opened, ("image",), threads or None, EngineRequest.parse(engine)),
        )

    @requests(on=["/index", "/search", "/encode", "/health"])
    def encode(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Fills `embedding` and removes the pixels."""
        images = valid_docs(docs, "image")
        for generation in {doc.generation for doc in images}:
            self._encode(generation, [doc for doc in images if doc.generation == generation])
        return docs

    def _encode(self, generation: str, images: list[MediaDoc]) -> None:
        encoder = self.encoders.named(generation)
        start = time.perf_counter()
        vectors = encoder.encode_images(np.stack([np.asarray(doc.pixels, np.uint8) for doc in images]))
        spent_ms = (time.perf_counter() - start) * 1e3
        for doc, vector in zip(images, vectors, strict=True):
            doc.embedding, doc.pixels = vector, None
            doc.timings_ms = {**doc.timings_ms, "encode": spent_ms}
