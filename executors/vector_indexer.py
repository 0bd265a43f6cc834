"""VectorIndexer: the vectors of one modality; follows the store, answers nearest neighbours."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from docarray import DocList
from jina import requests

from crossmodal.encoders.registry import IMAGE_ONLY
from crossmodal.index.collection import Collection
from executors.docs import MediaDoc, name_of_match
from executors.refusal import Refusing

SNAPSHOT_EVERY = 20_000
"""New vectors between two snapshots of a long indexing run."""


class VectorIndexer(Refusing):
    """Image vectors or caption vectors. A text searches images; an image searches captions, or images
    where the parameter `target` asks for them (`image`, `text` or `both`) or the model knows no captions.
    """

    def __init__(self, collection: str, modality: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        opened = Collection.open(Path(collection))
        self.modality = modality
        self.of_images = "image" if opened.model.family in IMAGE_ONLY else "text"
        self.store = opened.store()
        args = self.runtime_args
        shard, n_shards = max(0, getattr(args, "shard_id", 0)), getattr(args, "shards", 1)
        self.vectors = opened.index(self.store, "image" if modality == "image" else "text", shard, n_shards)
        self._since_snapshot = 0

    @requests(on="/index")
    def follow(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Takes in what was committed."""
        self._since_snapshot += self.vectors.refresh()
        if self._since_snapshot >= SNAPSHOT_EVERY:
            self.vectors.snapshot()
            self._since_snapshot = 0
        return docs

    @requests(on="/snapshot")
    def snapshot(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Takes in everything and writes a snapshot; asked for at the end of an indexing run."""
        self.vectors.refresh()
        self.vectors.snapshot()
        return docs

    @requests(on=["/search", "/health"])
    def search(self, docs: DocList[MediaDoc], parameters: dict[str, Any], **_: Any) -> DocList[MediaDoc]:
        """Adds the best matches to the documents that ask for this modality."""
        target = str(parameters.get("target") or "")
        asking = [doc for doc in docs if doc.embedding is not None and self._is_asked(doc, target)]
        if not asking:
            return docs
        start = time.perf_counter()
        queries = np.stack([np.asarray(doc.embedding, np.float32) for doc in asking])
        scores, keys = self.vectors.search(queries, int(parameters.get("top_k", 10)))
        spent_ms = (time.perf_counter() - start) * 1e3
        for doc, doc_scores, doc_keys in zip(asking, scores.tolist(), keys.tolist(), strict=True):
            nearest = zip(doc_keys, doc_scores, strict=True)
            doc.found = {name_of_match(self.modality, key): score for key, score in nearest if key >= 0}
            doc.timings_ms = {**doc.timings_ms, f"search_{self.modality}": spent_ms}
        return docs

    def _is_asked(self, doc: MediaDoc, target: str) -> bool:
        wanted = target or ("image" if doc.modality == "text" else self.of_images)
        return wanted in (self.modality, "both")

    def close(self) -> None:
        """Writes a snapshot where there is something new, and closes the store."""
        self.vectors.snapshot()
        self.store.close()
