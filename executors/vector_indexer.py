"""VectorIndexer: the vectors of one modality; follows the store, answers nearest neighbours."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from docarray import DocList
from jina import Executor, requests

from crossmodal.collection.collection import Collection
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.types import Modality
from crossmodal.encoders.registry import IMAGE_ONLY
from crossmodal.index.dense import UNIT_TOLERANCE
from crossmodal.index.replica import StoreReplica
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.search.fusion import depth_for
from crossmodal.store.where import parse
from executors.context import unescaped
from executors.schema import MediaDoc, name_of_match, top_k_of

SNAPSHOT_EVERY = 20_000
"""New vectors between two snapshots of a long indexing run."""


class VectorIndexer(Executor):
    """Image vectors or caption vectors. A text searches images; an image searches captions, or images
    where the parameter `target` asks for them (`image`, `text` or `both`) or the model knows no captions. The
    parameter `where` keeps to the documents that a condition is true of.
    """

    def __init__(self, collection: str, modality: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.modality: Modality = "image" if modality == "image" else "text"
        collection = unescaped(collection)
        model = Collection.open(Path(collection)).model
        self.of_images = "image" if model.family in IMAGE_ONLY else "text"
        self.depth: Callable[[int], int] = depth_for if model.base else int  # a search by words joins more
        args = self.runtime_args
        self.shard, self.n_shards = max(0, getattr(args, "shard_id", 0)), getattr(args, "shards", 1)
        self.indexes = GenerationCache(collection, self._open, lambda opened: opened[0].store.close())
        self._has_followed = False

    def _open(self, opened: Collection) -> tuple[VectorReplica, *tuple[StoreReplica[Any], ...]]:
        """What is searched, and what follows the store beside it."""
        return (opened.index(opened.store(), self.modality, self.shard, self.n_shards),)

    @requests(on=["/index", "/delete", "/update"])
    def follow(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Takes in what was committed."""
        _, opened = self.indexes.current()
        for index in opened:
            index.refresh()
        self._has_followed = True
        if max(index.n_unsaved for index in opened) >= SNAPSHOT_EVERY:
            _write(opened)
        return docs

    @requests(on="/snapshot")
    def snapshot(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Takes in everything and writes a snapshot; asked for at the end of an indexing run."""
        _, opened = self.indexes.current()
        for index in opened:
            index.refresh()
        _write(opened)
        return docs

    @requests(on=["/search", "/health"])
    def search(self, docs: DocList[MediaDoc], parameters: dict[str, Any], **_: Any) -> DocList[MediaDoc]:
        """Adds the best matches to the documents that ask for this modality."""
        target = str(parameters.get("target") or "")
        asking = [doc for doc in docs if doc.embedding is not None and self._is_asked(doc, target)]
        if not asking:
            return docs
        where = str(parameters.get("where") or "")
        for generation in {doc.generation for doc in asking}:
            same = [doc for doc in asking if doc.generation == generation]
            self._find(self.indexes.named(generation)[0], same, self.depth(top_k_of(parameters)), where)
        return docs

    def _find(self, index: VectorReplica, asking: list[MediaDoc], top_k: int, where: str) -> None:
        start = time.perf_counter()
        asking = [doc for doc in asking if _has_vector(doc, index.dim)]
        if not asking:
            return
        queries = np.stack([np.asarray(doc.embedding, np.float32) for doc in asking])
        allowed = index.store.keys_where(parse(where), self.modality) if where else None
        scores, keys = index.search(queries, top_k, allowed)
        spent_ms = (time.perf_counter() - start) * 1e3
        for doc, doc_scores, doc_keys in zip(asking, scores.tolist(), keys.tolist(), strict=True):
            nearest = zip(doc_keys, doc_scores, strict=True)
            doc.found = {name_of_match(self.modality, key): score for key, score in nearest if key >= 0}
            doc.timings_ms = {**doc.timings_ms, f"search_{self.modality}": spent_ms}

    def _is_asked(self, doc: MediaDoc, target: str) -> bool:
        wanted = target or ("image" if doc.modality == "text" else self.of_images)
        return wanted in (self.modality, "both")

    def close(self) -> None:
        """Writes a snapshot where this Flow writes, and closes the stores."""
        if self._has_followed:
            _, opened = self.indexes.current()
            for index in opened:
                index.refresh()
            _write(opened)
        self.indexes.close()


def _write(opened: Iterable[StoreReplica[Any]]) -> None:
    for index in opened:
        index.snapshot()


def _has_vector(doc: MediaDoc, dim: int) -> bool:
    """Whether its vector may be searched for; one of the modality `vector` came from outside, and may be anything."""
    vector = np.asarray(doc.embedding, np.float32)
    if vector.shape == (dim,) and abs(float(np.linalg.norm(vector)) - 1) < UNIT_TOLERANCE:
        return True
    doc.error = f"a vector of shape {vector.shape}: expected ({dim},), of length 1"
    return False
