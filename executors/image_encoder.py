"""ImageEncoder: encodes pixels as unit vectors with the image tower of the collection's model."""

import time
from typing import Any

from jina import requests

from crossmodal.collection.encoder import load_encoder
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.engine import AUTOMATIC, EngineRequest
from executors.base import CrossModalExecutor
from executors.context import unescaped
from executors.pixel_memory import received_pixels
from executors.schema import Docs, MediaDoc, valid_docs


class ImageEncoder(CrossModalExecutor):
    """Encodes all pictures of a request in one batch."""

    def __init__(self, collection: str, threads: int = 0, engine: str = str(AUTOMATIC), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoders = GenerationCache(
            unescaped(collection),
            lambda opened: load_encoder(opened, ("image",), threads or None, EngineRequest.parse(engine)),
        )

    @requests(on=["/index", "/search", "/encode", "/health"])
    def encode(self, docs: Docs, **_: Any) -> Docs:
        """Fills `embedding` and removes the pixels."""
        images = valid_docs(docs, "image")
        for generation in {doc.generation for doc in images}:
            self._encode(generation, [doc for doc in images if doc.generation == generation])
        return docs

    def _encode(self, generation: str, images: list[MediaDoc]) -> None:
        encoder = self.encoders.named(generation)
        start = time.perf_counter()
        pixels = received_pixels(images, encoder.spec.preprocessing.size_px)
        vectors = encoder.encode_images(pixels)
        spent_ms = (time.perf_counter() - start) * 1e3
        for doc, vector in zip(images, vectors, strict=True):
            doc.embedding = vector
            doc.timings_ms = {**doc.timings_ms, "encode": spent_ms}
