"""Turns candidates into complete results: ranks, computes relevance, cuts the page, reads documents and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError
from crossmodal.core.types import MODALITIES, Document, Vectors
from crossmodal.relevance.calibration_file import CalibrationFile
from crossmodal.relevance.rules import fits
from crossmodal.search.by_time import TimeOrder, by_time
from crossmodal.search.hydration import Picture, pictures_of
from crossmodal.search.query import Page, SearchOptions
from crossmodal.search.ranking import Cosines, Ranked, by_cosine
from crossmodal.search.stored_pictures import StoredPictures
from crossmodal.search.text_in_pictures import Allowed, TextInPictures
from crossmodal.store.protocol import Store

if TYPE_CHECKING:
    from crossmodal.search.hybrid import FusedMatch, HybridSearch

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Candidates:
    """A query after retrieval.

    Attributes:
        modality: The modality of the query: `text`, `image`, or `vector`.
        text: The words of the query, empty for none; a `vector` may also have words.
        vector: The query vector (dim,) float32, None if only words are compared.
        cosines: The retrieved documents.
    """

    modality: str
    text: str
    vector: Vectors | None
    cosines: Cosines


@dataclass(frozen=True)
class Match:
    """A document that matches a query.

    Attributes:
        document: The stored document.
        scores: See `Ranked.scores`; in a calibrated collection also `relevance`, 0 to 1.
        why: See `Ranked.why`.
        picture: The picture of the document, if the options have a page.
        read: See `Ranked.read`.
    """

    document: Document
    scores: dict[str, float]
    why: dict[str, float]
    picture: Picture | None = None
    read: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The score that determines the rank."""
        return self.scores["fused"] if "fused" in self.scores else self.scores["cosine"]

    @property
    def relevance(self) -> float | None:
        """The probability, 0 to 1, that the document matches the query; None without a calibration."""
        return self.scores.get("relevance")


@dataclass(frozen=True)
class SearchResults:
    """The results of one query.

    Attributes:
        matches: Pictures, then captions, each best first.
        fusion: The fusion of words and vectors, empty in a collection without words.
        note: The parts of the query that were not used, empty if all were.
        fits: See `relevance.rules.fits`; None unless the options have a page.
        more: Whether ranked matches follow the page.
        ordered: What the order by time was made from, None for the order by relevance.
    """

    matches: list[Match]
    fusion: str = ""
    note: str = ""
    fits: bool | None = None
    more: bool = False
    ordered: TimeOrder | None = None


class ResultRanker:
    """Turns candidates into results for one generation of a collection."""

    def __init__(
        self, store: Store, calibration: CalibrationFile, readings: TextInPictures, words: HybridSearch | None = None
    ) -> None:
        """Takes the open store, the calibration, the text in pictures and, for a sparse collection, the words."""
        self.store, self._calibration, self._readings, self._words = store, calibration, readings, words

    @classmethod
    def open(cls, collection: Collection, *, with_words: bool = True) -> ResultRanker:
        """Opens the files that ranking needs; without `with_words`, a sparse collection is ranked by vectors only.

        Raises:
            StateError: The store can't be read, or the model's files have changed.
        """
        store = collection.store()
        words = _open_words(collection, store) if with_words and collection.model.has_lexical else None
        readings = TextInPictures(store, collection.index_folder)
        return cls(store, CalibrationFile(collection.calibration_path), readings, words)

    def close(self) -> None:
        """Closes the store."""
        self.store.close()

    def refresh(self) -> None:
        """Applies new commits to the word indexes, which each search by words also does."""
        if self._words is not None:
            self._words.indexes.words.refresh()
            self._words.indexes.captions.refresh()
        self._readings.refresh()

    def results(self, batch: Sequence[Candidates], options: SearchOptions) -> list[SearchResults | InputError]:
        """The results of each query, or the error that refuses it.

        A document that was removed after retrieval is omitted. The documents of the whole batch are read together, and
        the condition is evaluated at most once.
        """
        condition = options.condition
        allowed = cache(lambda: None if condition is None else self.store.keys_where(condition, "image"))
        rankings = [_attempt(self._with_text, candidates, options, allowed) for candidates in batch]
        keys = {match.key for ranking in rankings if isinstance(ranking, _Ranking) for match in ranking.matches}
        documents = self.store.by_keys(keys)
        return [
            _attempt(self._completed, candidates, ranking, documents, options.page)
            if isinstance(ranking, _Ranking)
            else ranking
            for candidates, ranking in zip(batch, rankings, strict=True)
        ]

    def _with_text(self, candidates: Candidates, options: SearchOptions, allowed: Allowed) -> _Ranking:
        """The ranking, in which pictures with the words of the query in them come first, unless a fusion is given."""
        if options.fusion or not _is_lexical(candidates, options):
            return self._ranking(candidates, options, allowed)
        read = self._readings.matches(candidates.text, options.top_k, allowed)
        try:
            ranking = self._ranking(candidates, options, allowed)
        except InputError:  # the words of a sparse collection are not the query's
            if not read:
                raise
            ranking = _Ranking(by_cosine(candidates.cosines, options.top_k), "dense")
        if not read:
            return ranking
        captions = candidates.cosines.get("text", {})
        pictures = [match for match in ranking.matches if match.key not in captions]
        others = [match for match in ranking.matches if match.key in captions]
        joined = self._readings.joined(pictures, read, candidates.vector, options.top_k)
        return replace(ranking, matches=joined + others)

    def _ranking(self, candidates: Candidates, options: SearchOptions, allowed: Allowed) -> _Ranking:
        name = options.fusion
        if self._words is None:
            if name not in ("", "dense"):
                raise InputError(f"fusion {name!r}: this collection has no words, only vectors; index with -m sparse")
            return _Ranking(by_cosine(candidates.cosines, options.top_k))
        if not _is_lexical(candidates, options):
            if name not in ("", "dense"):
                raise InputError(f"fusion {name!r} applies only to searches of pictures by words")
            return _Ranking(by_cosine(candidates.cosines, options.top_k), "dense")
        nearest = dict(candidates.cosines.get("image", {}))
        fused = self._words.answer(candidates.text, candidates.vector, nearest, options.top_k, name, allowed())
        captions = by_cosine({"text": candidates.cosines.get("text", {})}, options.top_k)
        return _Ranking([_ranked(match, fused.fusion) for match in fused.matches] + captions, fused.fusion, fused.note)

    def _completed(
        self, candidates: Candidates, ranking: _Ranking, documents: dict[int, Document], page: Page | None
    ) -> SearchResults:
        matches = [
            Match(documents[match.key], match.scores, match.why, read=match.read)
            for match in ranking.matches
            if match.key in documents
        ]
        if page is not None and page.without:
            hidden = set(page.without)
            matches = [match for match in matches if hidden.isdisjoint((match.document.id, match.document.image_id))]
        if candidates.vector is not None:
            self._add_cosines(matches, candidates.vector)
            self._add_relevance(matches, candidates)
            self._add_certainties(matches)
        if page is None:
            return SearchResults(matches, ranking.fusion, ranking.note)
        is_fitting = fits([match.relevance for match in matches], page.min_relevance)
        ordered = None
        if page.order != "relevance":
            matches, ordered = by_time(matches, page.order, page.min_relevance)
        kept, more = cut(matches, page)
        pictures = pictures_of(self.store, [match.document for match in kept])
        kept = [replace(match, picture=picture) for match, picture in zip(kept, pictures, strict=True)]
        return SearchResults(kept, ranking.fusion, ranking.note, is_fitting, more, ordered)

    def _add_certainties(self, matches: Sequence[Match]) -> None:
        """Raises the relevance of pictures with all words in them to the certainty of the reader."""
        read = {match.document.id: match for match in matches if match.read and match.relevance is not None}
        if read:
            words = next(iter(read.values())).read
            for image_id, certainty in self._readings.certainties(read, words).items():
                scores = read[image_id].scores
                scores["relevance"] = max(scores["relevance"], round(certainty, 4))

    def _add_cosines(self, matches: Iterable[Match], vector: Vectors) -> None:
        """Adds the cosine with the query's vector to matches that only words returned."""
        missing = [match for match in matches if "cosine" not in match.scores]
        vectors = self.store.vectors_of(match.document.id for match in missing) if missing else {}
        for match in missing:
            if match.document.id in vectors:
                match.scores["cosine"] = float(vector @ vectors[match.document.id])

    def _add_relevance(self, matches: Sequence[Match], candidates: Candidates) -> None:
        """Adds the relevance to matches, if the collection has a calibrated rule for such queries."""
        calibration = self._calibration.current() if matches else None
        if calibration is None or candidates.vector is None:
            return
        for modality in MODALITIES:
            same = [match for match in matches if match.document.modality == modality and "cosine" in match.scores]
            rule = calibration.rule(candidates.modality, modality)
            if same and rule is not None:
                pictures = StoredPictures(self.store, [match.document.id for match in same], candidates.vector)
                cosines = np.array([match.scores["cosine"] for match in same])
                for match, relevance in zip(same, rule.of(candidates.vector, cosines, pictures).tolist(), strict=True):
                    match.scores["relevance"] = round(relevance, 4)


def cut(matches: Sequence[Match], page: Page) -> tuple[list[Match], bool]:
    """The matches of each modality on a page, and whether more follow in any of them."""
    kept: list[Match] = []
    more = False
    for modality in MODALITIES:
        same = [match for match in matches if match.document.modality == modality]
        if page.min_score is not None:
            same = [match for match in same if match.score >= page.min_score]
        if page.min_relevance is not None:
            same = [match for match in same if (match.relevance or 0.0) >= page.min_relevance]
        end = page.offset + page.size
        kept += same[page.offset : end]
        more = more or len(same) > end
    return kept, more


@dataclass(frozen=True)
class _Ranking:
    matches: list[Ranked]
    fusion: str = ""
    note: str = ""


def _attempt(call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T | InputError:
    """The result of the call, or its InputError, so that one query does not fail the others of its batch."""
    try:
        return call(*args, **options)
    except InputError as error:
        return error


def _open_words(collection: Collection, store: Store) -> HybridSearch:
    # Imported here because only sparse collections need scipy and the lemmas.
    from crossmodal.lexical.indexes import WordIndexes
    from crossmodal.search.fusion import fusion_of
    from crossmodal.search.hybrid import HybridSearch

    indexes = WordIndexes.open(collection.index_folder, collection.model, store)
    return HybridSearch(indexes, fusion_of(collection.model))


def _ranked(match: FusedMatch, fusion: str) -> Ranked:
    """A match of a search by words, with its dense score under the name `cosine`."""
    scores = {"cosine" if part == "dense" else part: score for part, score in match.parts.items()}
    return Ranked(match.key, scores if fusion == "dense" else {"fused": match.score, **scores}, match.why)


def _is_lexical(candidates: Candidates, options: SearchOptions) -> bool:
    """Whether a query is also searched by the words of a sparse collection and by the text in pictures."""
    return bool(candidates.text) and options.target != "text"
