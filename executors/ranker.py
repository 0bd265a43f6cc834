"""Ranker: what the branches of a query found, in order, cut to what was asked for, and looked up."""

import time
from typing import Any

import numpy as np
from docarray import DocList
from jina import Executor, requests

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.types import MODALITIES, Document, Vectors
from crossmodal.relevance.rules import CalibrationFile, Floats
from crossmodal.search.ranking import best
from crossmodal.store.sqlite import DocumentStore
from executors.context import unescaped
from executors.schema import MatchDoc, Matches, MediaDoc, modality_and_key, top_k_of

Ranked = tuple[int, dict[str, float], dict[str, float]]
"""A match before it is looked up: its key, its scores, and the words that it is found by."""


class Ranker(Executor):
    """Joins the branches of a query. Scores of captions and of pictures are not comparable, so each modality
    is ranked by itself: the pictures first, then the captions. What is left after the cut gets its relevance, where
    the collection is calibrated, and is filled from the store here and not in an Executor of its own: a hop costs
    more than the look-up.
    """

    def __init__(self, collection: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        collection = unescaped(collection)
        self.stores = GenerationCache(collection, lambda opened: opened.store(), lambda store: store.close())
        self.calibrations = GenerationCache(collection, lambda opened: CalibrationFile(opened.calibration_path))

    @requests(on=["/search", "/health"])
    def rank(self, docs: DocList[MediaDoc], parameters: dict[str, Any], **_: Any) -> DocList[MediaDoc]:
        """The `top_k` best of each modality, whatever shards and branches they came from; one that was
        deleted in the meantime is left out.
        """
        start = time.perf_counter()
        for doc in docs:
            refuse_fusion(doc, parameters)
        top_k = top_k_of(parameters)
        return self.filled(docs, [in_order(doc.found, top_k) for doc in docs], start)

    def filled(self, docs: DocList[MediaDoc], ranked: list[list[Ranked]], start: float) -> DocList[MediaDoc]:
        """The documents with their matches, which are looked up; `start` is when ranking them began."""
        stored = self._stored(docs, ranked)
        for doc, keys in zip(docs, ranked, strict=True):
            of_generation = stored.get(doc.generation, {})
            doc.matches = Matches.construct(
                [
                    MatchDoc(scores=scores, why=why, **vars(of_generation[key]))
                    for key, scores, why in keys
                    if key in of_generation
                ]
            )
            self.complete(doc)
            self._add_relevance(doc)
            doc.embedding, doc.found = None, {}
        spent_ms = (time.perf_counter() - start) * 1e3
        for doc in docs:
            doc.timings_ms = {**doc.timings_ms, "rank": spent_ms}
        return docs

    def _stored(self, docs: DocList[MediaDoc], ranked: list[list[Ranked]]) -> dict[str, dict[int, Document]]:
        """The documents that were found, by key, by generation."""
        wanted: dict[str, set[int]] = {}
        for doc, keys in zip(docs, ranked, strict=True):
            if keys:  # what failed before it was encoded has no generation
                wanted.setdefault(doc.generation, set()).update(key for key, *_ in keys)
        return {generation: self.stores.named(generation).by_keys(keys) for generation, keys in wanted.items()}

    def complete(self, doc: MediaDoc) -> None:
        """Adds what matches lack so far; here they lack nothing."""

    def _add_relevance(self, doc: MediaDoc) -> None:
        if not doc.matches:
            return
        calibration = self.calibrations.named(doc.generation).current()
        if calibration is None or doc.embedding is None:
            return
        query = np.asarray(doc.embedding, np.float32)
        for modality in MODALITIES:
            matches = [match for match in doc.matches if match.modality == modality and "cosine" in match.scores]
            rule = calibration.rule(doc.modality, modality)
            if matches and rule is not None:
                pictures = StoredPictures(self.stores.named(doc.generation), [match.id for match in matches], query)
                relevance = rule.of(query, np.array([match.scores["cosine"] for match in matches]), pictures)
                for match, value in zip(matches, relevance.tolist(), strict=True):
                    match.scores["relevance"] = round(value, 4)

    def close(self) -> None:
        """Closes the stores."""
        self.stores.close()


class StoredPictures:
    """What a rule may ask about pictures that were found, read from the store when it is asked for."""

    def __init__(self, store: DocumentStore, ids: list[str], query: Vectors) -> None:
        self._store, self._ids, self._query = store, ids, query

    def vectors(self) -> Vectors:
        """As `Judged.vectors`; zeros for one that was removed in the meantime."""
        found = self._store.vectors_of(self._ids)
        return np.stack([found.get(own, np.zeros_like(self._query)) for own in self._ids])

    def captions(self) -> Floats:
        """As `Judged.captions`."""
        found = self._store.caption_vectors_of(self._ids)
        return np.array([float((found[own] @ self._query).max()) if own in found else np.nan for own in self._ids])


def refuse_fusion(doc: MediaDoc, parameters: dict[str, Any]) -> None:
    """Marks a document of a collection that has no words, where it is to be searched for by words."""
    asked = parameters.get("fusion")
    if asked not in (None, "", "dense") and not doc.error:
        doc.error = f"fusion {asked!r}: this collection has no words, only vectors; index with -m sparse"


def in_order(found: dict[str, float], top_k: int) -> list[Ranked]:
    """Keys and cosines, pictures before captions, at most `top_k` of each."""
    of_modality: dict[str, list[tuple[int, float]]] = {modality: [] for modality in MODALITIES}
    for name, cosine in found.items():
        modality, key = modality_and_key(name)
        of_modality[modality].append((key, cosine))
    return [
        (key, {"cosine": cosine}, {})
        for candidates in of_modality.values()
        for key, cosine in best(candidates, top_k, lambda candidate: (candidate[1], f"{candidate[0]:020d}"))
    ]
