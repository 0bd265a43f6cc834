"""TextEncoder: encodes texts as unit vectors with the text tower of the collection's model."""

import time
from collections.abc import Callable
from typing import Any

from jina import requests

from crossmodal.collection.encoder import load_encoder
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.engine import AUTOMATIC, EngineRequest
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import Vectors
from crossmodal.encoders.reading import unread_note
from executors.base import CrossModalExecutor
from executors.context import unescaped
from executors.schema import Docs, valid_docs


class TextEncoder(CrossModalExecutor):
    """Encodes all texts of a request in one batch; an empty text gets an `error`."""

    def __init__(self, collection: str, threads: int = 0, engine: str = str(AUTOMATIC), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoders = GenerationCache(
            unescaped(collection),
            lambda opened: load_encoder(opened, ("text",), threads or None, EngineRequest.parse(engine)),
        )

    @requests(on=["/index", "/search", "/encode", "/health"])
    def encode(self, docs: Docs, **_: Any) -> Docs:
        """Fills `embedding`."""
        return self.encoded(docs, lambda encoder, texts: encoder.encode_texts(texts))

    def encoded(self, docs: Docs, encode: Callable[[Encoder, list[str]], Vectors]) -> Docs:
        """The documents, with the vectors that `encode` returns for their texts."""
        for doc in valid_docs(docs, "text"):
            if not doc.text.strip():
                doc.error = "the text is empty"
        texts = valid_docs(docs, "text")
        if not texts:
            return docs
        start = time.perf_counter()
        generation, encoder = self.encoders.current()
        vectors = encode(encoder, [doc.text for doc in texts])
        spent_ms = (time.perf_counter() - start) * 1e3
        for doc, vector in zip(texts, vectors, strict=True):
            doc.embedding, doc.generation = vector, generation
            doc.note = unread_note(encoder, doc.text) or doc.note
            doc.timings_ms = {**doc.timings_ms, "encode": spent_ms}
        return docs
