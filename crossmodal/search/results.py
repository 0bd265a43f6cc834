"""From candidates to complete results: rank, judge relevance, cut the page, look documents and pictures up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError
from crossmodal.core.types import MODALITIES, Document, Keys, Vectors
from crossmodal.relevance.calibration_file import CalibrationFile
from crossmodal.relevance.rules import Floats, fits
from crossmodal.search.hydration import Picture, pictures_of
from crossmodal.search.query import Page, SearchOptions
from crossmodal.search.ranking import Cosines, Ranked, by_cosine
from crossmodal.search.retrieval import allowed_keys
from crossmodal.store.sqlite import DocumentStore

if TYPE_CHECKING:
    from crossmodal.search.hybrid import FusedMatch, HybridSearch

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Candidates:
    """A query after retrieval.

    Attributes:
        modality: Of the query: `text`, `image`, or `vector`.
        text: Its words, empty for none; a `vector` may come with words to search by.
        vector: (dim,) float32, None if only words are compared.
        cosines: What retrieval found.
    """

    modality: str
    text: str
    vector: Vectors | None
    cosines: Cosines


@dataclass(frozen=True)
class Match:
    """A document that was found.

    Attributes:
        document: The document as the store has it.
        scores: As `Ranked.scores`, with `relevance`, 0 to 1, in a calibrated collection.
        why: As `Ranked.why`.
        picture: The picture of the document, if the options have a page.
    """

    document: Document
    scores: dict[str, float]
    why: dict[str, float]
    picture: Picture | None = None

    @property
    def score(self) -> float:
        """The score that the match is ranked by."""
        return self.scores["fused"] if "fused" in self.scores else self.scores["cosine"]

    @property
    def relevance(self) -> float | None:
        """How likely the match is what was searched for, 0 to 1; None without a calibration."""
        return self.scores.get("relevance")


@dataclass(frozen=True)
class SearchResults:
    """The results of one query.

    Attributes:
        matches: Pictures, then captions, each best first.
        fusion: How words and vectors were joined, empty in a collection without words.
        note: What the search left out, empty for nothing.
        fits: As `relevance.rules.fits`, if the options have a page.
        more: Whether ranked matches follow the page.
    """

    matches: list[Match]
    fusion: str = ""
    note: str = ""
    fits: bool | None = None
    more: bool = False


class ResultRanker:
    """Turns candidates into results, over one generation of a collection."""

    def __init__(self, store: DocumentStore, calibration: CalibrationFile, words: HybridSearch | None = None) -> None:
        """Takes the open store, the calibration, and the search by words of a sparse collection."""
        self.store, self._calibration, self._words = store, calibration, words

    @classmethod
    def open(cls, collection: Collection, *, with_words: bool = True) -> ResultRanker:
        """Opens what ranking needs of a collection; without `with_words`, a sparse one is ranked by vectors alone.

        Raises:
            StateError: The store can't be read, or the model's files have changed.
        """
        store = collection.store()
        words = _open_words(collection, store) if with_words and collection.model.has_lexical else None
        return cls(store, CalibrationFile(collection.calibration_path), words)

    def close(self) -> None:
        """Closes the store."""
        self.store.close()

    def results(self, batch: Sequence[Candidates], options: SearchOptions) -> list[SearchResults | InputError]:
        """The results of each query, or why it is refused.

        A document that was removed after retrieval is left out. The store is asked once for the documents of the whole
        batch, and the condition is evaluated at most once.
        """
        allowed = None
        if self._words is not None and any(_is_lexical(each, options) for each in batch):
            allowed = allowed_keys(self.store, options, "image")
        rankings = [_attempt(self._ranking, candidates, options, allowed) for candidates in batch]
        keys = {match.key for each in rankings if isinstance(each, _Ranking) for match in each.matches}
        documents = self.store.by_keys(keys)
        return [
            _attempt(self._completed, candidates, ranking, documents, options.page)
            if isinstance(ranking, _Ranking)
            else ranking
            for candidates, ranking in zip(batch, rankings, strict=True)
        ]

    def _ranking(self, candidates: Candidates, options: SearchOptions, allowed: Keys | None) -> _Ranking:
        name = options.fusion
        if self._words is None:
            if name not in ("", "dense"):
                raise InputError(f"fusion {name!r}: this collection has no words, only vectors; index with -m sparse")
            return _Ranking(by_cosine(candidates.cosines, options.top_k))
        if not _is_lexical(candidates, options):
            if name not in ("", "dense"):
                raise InputError(f"fusion {name!r} is for pictures that are searched for with words")
            return _Ranking(by_cosine(candidates.cosines, options.top_k), "dense")
        nearest = dict(candidates.cosines.get("image", {}))
        found = self._words.answer(candidates.text, candidates.vector, nearest, options.top_k, name, allowed)
        captions = by_cosine({"text": candidates.cosines.get("text", {})}, options.top_k)
        return _Ranking([_ranked(match, found.fusion) for match in found.matches] + captions, found.fusion, found.note)

    def _completed(
        self, candidates: Candidates, ranking: _Ranking, documents: dict[int, Document], page: Page | None
    ) -> SearchResults:
        matches = [
            Match(documents[each.key], each.scores, each.why) for each in ranking.matches if each.key in documents
        ]
        if candidates.vector is not None:
            self._add_cosines(matches, candidates.vector)
            self._add_relevance(matches, candidates)
        if page is None:
            return SearchResults(matches, ranking.fusion, ranking.note)
        is_fitting = fits([match.relevance for match in matches], page.min_relevance)
        kept, more = cut(matches, page)
        pictures = pictures_of(self.store, [match.document for match in kept])
        kept = [replace(match, picture=picture) for match, picture in zip(kept, pictures, strict=True)]
        return SearchResults(kept, ranking.fusion, ranking.note, is_fitting, more)

    def _add_cosines(self, matches: Iterable[Match], vector: Vectors) -> None:
        """Gives matches that only words found their cosine with the query's vector."""
        without = [match for match in matches if "cosine" not in match.scores]
        vectors = self.store.vectors_of(match.document.id for match in without) if without else {}
        for match in without:
            if match.document.id in vectors:
                match.scores["cosine"] = float(vector @ vectors[match.document.id])

    def _add_relevance(self, matches: Sequence[Match], candidates: Candidates) -> None:
        """Gives matches their relevance, in a calibrated collection that has a rule for such queries."""
        calibration = self._calibration.current() if matches else None
        if calibration is None or candidates.vector is None:
            return
        for modality in MODALITIES:
            same = [match for match in matches if match.document.modality == modality and "cosine" in match.scores]
            rule = calibration.rule(candidates.modality, modality)
            if same and rule is not None:
                pictures = _StoredPictures(self.store, [match.document.id for match in same], candidates.vector)
                cosines = np.array([match.scores["cosine"] for match in same])
                for match, relevance in zip(same, rule.of(candidates.vector, cosines, pictures).tolist(), strict=True):
                    match.scores["relevance"] = round(relevance, 4)


def cut(matches: Sequence[Match], page: Page) -> tuple[list[Match], bool]:
    """The matches on a page of each modality, and whether more follow in either."""
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
    """What the call returns, or the error of one query, which must not fail the others of its batch."""
    try:
        return call(*args, **options)
    except InputError as error:
        return error


def _open_words(collection: Collection, store: DocumentStore) -> HybridSearch:
    # Imports scipy and the lemmas, which other collections do without.
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
    """Whether a query of a sparse collection is also searched by words."""
    return bool(candidates.text) and options.target != "text"


class _StoredPictures:
    """As `relevance.rules.Judged`: what a rule needs of the matches, read from the store when it is needed."""

    def __init__(self, store: DocumentStore, ids: list[str], query: Vectors) -> None:
        self._store, self._ids, self._query = store, ids, query

    def vectors(self) -> Vectors:
        """As `Judged.vectors`; zeros for a picture that was removed in the meantime."""
        found = self._store.vectors_of(self._ids)
        return np.stack([found.get(each, np.zeros_like(self._query)) for each in self._ids])

    def captions(self) -> Floats:
        """As `Judged.captions`."""
        found = self._store.caption_vectors_of(self._ids)
        return np.array([float((found[each] @ self._query).max()) if each in found else np.nan for each in self._ids])
