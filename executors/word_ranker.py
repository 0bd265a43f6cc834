"""WordRanker: as Ranker, for a sparse collection: texts are searched for by words, too, and matches say why."""

import time
from typing import Any

import numpy as np
from docarray import DocList
from jina import requests

from crossmodal.collection.collection import Collection
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.collection.indexes import has_words
from crossmodal.core.errors import InputError
from crossmodal.core.types import Keys
from crossmodal.lexical.indexes import WordIndexes
from crossmodal.lexical.terms import words_of
from crossmodal.search.fusion import fusion_of
from crossmodal.search.hybrid import HybridSearch, Match
from crossmodal.store.where import parse
from executors.context import unescaped
from executors.ranker import Ranked, Ranker, in_order, refuse_fusion
from executors.schema import MediaDoc, joined_notes, modality_and_key, top_k_of

_SCORES = {"dense": "cosine"}
"""What a part's score is called in an answer, where that is not the part's name."""


class WordRanker(Ranker):
    """Searches the indexes of words here, where it is needed to join it with the vectors: no Executor more. The
    parameter `fusion` says how that is done.
    """

    def __init__(self, collection: str, **kwargs: Any) -> None:
        super().__init__(collection, **kwargs)
        self.searches = GenerationCache(unescaped(collection), _open, _close)
        words_of("the list of lemmas takes a moment to be read")

    @requests(on="/search")
    def rank_by_words(self, docs: DocList[MediaDoc], parameters: dict[str, Any], **_: Any) -> DocList[MediaDoc]:
        """The `top_k` best; a text, and a vector that comes with its text, is searched for by words as well."""
        start = time.perf_counter()
        asked = str(parameters.get("fusion") or "")
        top_k = top_k_of(parameters)
        return self.filled(docs, [self._ranked(doc, parameters, asked, top_k) for doc in docs], start)

    def _ranked(self, doc: MediaDoc, parameters: dict[str, Any], asked: str, top_k: int) -> list[Ranked]:
        found = in_order(doc.found, top_k)
        if doc.error:
            return found
        search = self.searches.named(doc.generation)
        if search is None:  # a generation of another model, from before or after a reindex
            refuse_fusion(doc, parameters)
            return found
        target = str(parameters.get("target") or "")
        if not doc.text or target == "text":
            doc.fusion = "dense"
            if asked not in ("", "dense"):
                doc.error = f"fusion {asked!r} is for pictures that are searched for with words"
            return found
        try:
            return self._by_words(doc, search, parameters, asked, top_k)
        except InputError as error:
            doc.error = str(error)
            return []

    def _by_words(
        self, doc: MediaDoc, search: HybridSearch, parameters: dict[str, Any], asked: str, top_k: int
    ) -> list[Ranked]:
        named = [(modality_and_key(name), cosine) for name, cosine in doc.found.items()]
        nearest = {key: cosine for (modality, key), cosine in named if modality == "image"}
        captions = {name: cosine for name, cosine in doc.found.items() if name.startswith("text/")}
        vector = None if doc.embedding is None else np.asarray(doc.embedding, np.float32)
        allowed = self._allowed(search, str(parameters.get("where") or ""))
        found = search.answer(doc.text, vector, nearest, top_k, asked, allowed)
        doc.fusion, doc.note = found.fusion, joined_notes([doc.note, found.note])
        return [_told(match, found.fusion) for match in found.matches] + in_order(captions, top_k)

    def complete(self, doc: MediaDoc) -> None:
        """Adds the cosine to matches that only words have found, where the query has a vector."""
        without = [match for match in doc.matches if "cosine" not in match.scores]
        if not without or doc.embedding is None:
            return
        vectors = self.stores.named(doc.generation).vectors_of(match.id for match in without)
        query = np.asarray(doc.embedding, np.float32)
        for match in without:
            if match.id in vectors:
                match.scores["cosine"] = float(query @ vectors[match.id])

    def _allowed(self, search: HybridSearch, where: str) -> Keys | None:
        return search.indexes.words.store.keys_where(parse(where), "image") if where else None

    def close(self) -> None:
        """Closes the stores."""
        self.searches.close()
        super().close()


def _open(opened: Collection) -> HybridSearch | None:
    if not has_words(opened.model):
        return None
    return HybridSearch(WordIndexes.open(opened.index_folder, opened.model, opened.store()), fusion_of(opened.model))


def _close(search: HybridSearch | None) -> None:
    if search is not None:
        search.indexes.words.store.close()


def _told(match: Match, fusion: str) -> Ranked:
    scores = {_SCORES.get(part, part): score for part, score in match.parts.items()}
    return match.key, scores if fusion == "dense" else {"fused": match.score, **scores}, match.why
