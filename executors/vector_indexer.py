"""VectorIndexer: searches the vectors of one modality, and keeps its index up to date with the store."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from jina import requests

from crossmodal.collection.collection import Collection
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import InputError
from crossmodal.core.slices import WHOLE, Slice
from crossmodal.core.types import Modality
from crossmodal.index.follow import follow_store
from crossmodal.index.replica import StoreReplica
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.search.query import SearchOptions
from crossmodal.search.retrieval import check_vector, nearest, retrieval_depth, searched_modalities
from executors.base import CrossModalExecutor, without_documents
from executors.context import unescaped
from executors.schema import Docs, MediaDoc, name_of_match


class VectorIndexer(CrossModalExecutor):
    """Searches the image vectors or the caption vectors, or one shard of them, of the slice `part`.

    The request's parameters are those of `crossmodal.search.query.SearchOptions`.
    """

    def __init__(self, collection: str, modality: str, part: str = str(WHOLE), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = Slice.parse(part)
        self.modality: Modality = "image" if modality == "image" else "text"
        collection = unescaped(collection)
        self.model = Collection.open(Path(collection)).model
        args = self.runtime_args
        self.shard, self.n_shards = max(0, getattr(args, "shard_id", 0)), getattr(args, "shards", 1)
        self.indexes = GenerationCache(collection, self._open, lambda opened: opened[0].store.close())
        self._has_followed = False

    def _open(self, opened: Collection) -> tuple[VectorReplica, *tuple[StoreReplica[Any], ...]]:
        """The index that is searched, and other indexes that are kept up to date with it."""
        return (opened.index(opened.store(), self.modality, self.shard, self.n_shards, self.part),)

    @requests(on=["/index", "/delete", "/update"])
    @without_documents
    def follow(self, docs: Docs, **_: Any) -> Docs:
        """Applies new commits of the store."""
        follow_store(self.indexes.current()[1])
        self._has_followed = True
        return docs

    @requests(on="/follow")
    @without_documents
    def refresh(self, docs: Docs, **_: Any) -> Docs:
        """Applies new commits without writing a snapshot; called by a service that may only read."""
        for index in self.indexes.current()[1]:
            index.refresh()
        return docs

    @requests(on="/snapshot")
    @without_documents
    def snapshot(self, docs: Docs, **_: Any) -> Docs:
        """Applies new commits and writes a snapshot; called at the end of an indexing run."""
        follow_store(self.indexes.current()[1], is_end=True)
        return docs

    @requests(on=["/search", "/health"])
    def search(self, docs: Docs, parameters: dict[str, Any], **_: Any) -> Docs:
        """Fills `found` of the documents that search this modality; each generation is searched in one batch."""
        options = SearchOptions.from_parameters(parameters)
        wanted = [doc for doc in docs if doc.embedding is not None and self._is_searched(doc, options)]
        for generation in {doc.generation for doc in wanted}:
            self._search([doc for doc in wanted if doc.generation == generation], generation, options)
        return docs

    def _is_searched(self, doc: MediaDoc, options: SearchOptions) -> bool:
        return self.modality in searched_modalities(doc.modality, options, self.model)

    def _search(self, docs: list[MediaDoc], generation: str, options: SearchOptions) -> None:
        index = self.indexes.named(generation)[0]
        start = time.perf_counter()
        docs = [doc for doc in docs if _has_valid_vector(doc, index.dim)]
        if not docs:
            return
        queries = np.stack([np.asarray(doc.embedding, np.float32) for doc in docs])
        neighbours = nearest(index, queries, retrieval_depth(self.model, options.top_k), options)
        spent_ms = (time.perf_counter() - start) * 1e3
        for doc, cosines in zip(docs, neighbours, strict=True):
            doc.found = {name_of_match(self.modality, key): cosine for key, cosine in cosines.items()}
            doc.timings_ms = {**doc.timings_ms, f"search_{self.modality}": spent_ms}

    def close(self) -> None:
        """Writes a snapshot if this Flow writes, and closes the stores."""
        if self._has_followed:
            follow_store(self.indexes.current()[1], is_end=True)
        self.indexes.close()


def _has_valid_vector(doc: MediaDoc, dim: int) -> bool:
    try:
        check_vector(np.asarray(doc.embedding, np.float32), dim)
    except InputError as error:
        doc.error = str(error)
    return not doc.error
