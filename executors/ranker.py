"""Ranker: the last Executor of the query Flow; turns candidates into complete results."""

import time
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from jina import requests

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import InputError
from crossmodal.core.types import Modality
from crossmodal.search.encoding import joined_notes
from crossmodal.search.query import SearchOptions
from crossmodal.search.results import Candidates, ResultRanker, SearchResults
from executors.base import CrossModalExecutor
from executors.context import unescaped
from executors.page import written
from executors.schema import Docs, Matches, MediaDoc, match_doc, modality_and_key


class Ranker(CrossModalExecutor):
    """Joins the branches of a query and calls `ResultRanker`.

    It also reads the store, because a call of another Executor would cost more than the look-up.
    """

    with_words: ClassVar[bool] = False

    def __init__(self, collection: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rankers = GenerationCache(
            unescaped(collection),
            lambda opened: ResultRanker.open(opened, with_words=self.with_words),
            lambda ranker: ranker.close(),
        )

    @requests(on="/search")
    def rank(self, docs: Docs, parameters: dict[str, Any], **_: Any) -> Docs:
        """Fills `matches`, or `page`, from the candidates of all shards and branches."""
        return self._ranked(docs, SearchOptions.from_parameters(parameters))

    @requests(on="/health")
    def rank_by_vectors(self, docs: Docs, parameters: dict[str, Any], **_: Any) -> Docs:
        """As `rank`, but by vectors only: the text of a health check may have no word that the collection knows."""
        return self._ranked(docs, replace(SearchOptions.from_parameters(parameters), fusion="dense"))

    @requests(on="/follow")
    def refresh(self, docs: Docs, **_: Any) -> Docs:
        """Applies new commits to the word indexes, if there are any."""
        self.rankers.current()[1].refresh()
        return docs

    def _ranked(self, docs: Docs, options: SearchOptions) -> Docs:
        start = time.perf_counter()
        encoded = [doc for doc in docs if not doc.error]
        for generation in {doc.generation for doc in encoded}:
            queries = [doc for doc in encoded if doc.generation == generation]
            batch = [_candidates(doc) for doc in queries]
            for doc, results in zip(queries, self.rankers.named(generation).results(batch, options), strict=True):
                _fill(doc, results, options)
        spent_ms = (time.perf_counter() - start) * 1e3
        for doc in docs:
            doc.embedding, doc.found = None, {}
            doc.timings_ms = {**doc.timings_ms, "rank": spent_ms}
        return docs

    def close(self) -> None:
        """Closes the stores."""
        self.rankers.close()


def _candidates(doc: MediaDoc) -> Candidates:
    cosines: dict[Modality, dict[int, float]] = {}
    for name, cosine in doc.found.items():
        modality, key = modality_and_key(name)
        cosines.setdefault("image" if modality == "image" else "text", {})[key] = cosine
    vector = None if doc.embedding is None else np.asarray(doc.embedding, np.float32)
    return Candidates(doc.modality, doc.text, vector, cosines)


def _fill(doc: MediaDoc, results: SearchResults | InputError, options: SearchOptions) -> None:
    if isinstance(results, InputError):
        doc.error = str(results)
        return
    doc.fusion, doc.note = results.fusion, joined_notes([doc.note, results.note])
    if options.page is None:
        doc.matches = Matches.construct([match_doc(match) for match in results.matches])
    else:
        doc.page = written(results)
