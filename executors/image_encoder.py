"""ImageEncoder: encodes pixels as unit vectors with the image tower of the collection's model."""

import asyncio
import time
from typing import Any

from jina import requests

from crossmodal.collection.encoder import load_encoder
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.engine import AUTOMATIC, EngineRequest
from executors.base import CrossModalExecutor
from executors.context import unescaped
from executors.schema import Docs, MediaDoc, valid_docs
from executors.shared_memory import received_pixels


class ImageEncoder(CrossModalExecutor):
    """Encodes several requests at a time, so that no core waits for the last pictures of one; answers them in order."""

    def __init__(self, collection: str, threads: int = 0, engine: str = str(AUTOMATIC), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.last: asyncio.Future[None] | None = None
        self.encoders = GenerationCache(
            unescaped(collection),
            lambda opened: load_encoder(opened, ("image",), threads or None, EngineRequest.parse(engine)),
        )

    @requests(on=["/index", "/search", "/encode", "/health"])
    async def encode(self, docs: Docs, **_: Any) -> Docs:
        """Fills `embedding` and removes the pixels."""
        # Jina runs coroutines at the same time. A store has the documents in the order of their commits.
        previous = self.last
        self.last = done = asyncio.get_running_loop().create_future()
        try:
            await asyncio.to_thread(self._encode_all, valid_docs(docs, "image"))
            if previous is not None:
                await previous
        finally:
            done.set_result(None)
        return docs

    def _encode_all(self, images: list[MediaDoc]) -> None:
        for generation in {doc.generation for doc in images}:
            self._encode(generation, [doc for doc in images if doc.generation == generation])

    def _encode(self, generation: str, images: list[MediaDoc]) -> None:
        encoder = self.encoders.named(generation)
        start = time.perf_counter()
        pixels = received_pixels(images, encoder.spec.preprocessing.size_px)
        vectors = encoder.encode_images(pixels)
        spent_ms = (time.perf_counter() - start) * 1e3
        for doc, vector in zip(images, vectors, strict=True):
            doc.embedding = vector
            doc.timings_ms = {**doc.timings_ms, "encode": spent_ms}
