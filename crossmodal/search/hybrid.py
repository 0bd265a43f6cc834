"""Search of pictures by vectors, learned words and the words of captions, with the matching words of each picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from crossmodal.core.errors import InputError
from crossmodal.core.types import Keys, Vectors
from crossmodal.lexical.indexes import WordIndexes
from crossmodal.lexical.terms import parse_query
from crossmodal.search.fusion import PARTS, Fusion, ScoredKeys, depth_for, fuse, fusion_of_parts, name_of, part_alone

DENSE = fusion_of_parts("dense")
Words = list[tuple[str, float]]


@dataclass(frozen=True)
class FusedMatch:
    """A picture that matches a query.

    Attributes:
        key: Its key in the store.
        score: The fused score, which determines the rank.
        parts: Its score in each part that returned it, by the names of `PARTS`.
        why: The contribution of each word to its `sparse` score, or to `bm25` if the learned words have no weight.
    """

    key: int
    score: float
    parts: dict[str, float]
    why: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FusedMatches:
    """The matches, best first, the name of the fusion, and a note for the user, which may be empty."""

    matches: list[FusedMatch]
    fusion: str
    note: str = ""


@dataclass(frozen=True)
class _LexicalQuery:
    """The words of a query with their weights, and the words that neither index has."""

    words: Words
    weights: csr_matrix
    unknown: list[str]

    @property
    def is_known(self) -> bool:
        """Whether an index has at least one wanted word."""
        return any(weight > 0 and word not in self.unknown for word, weight in self.words)


class HybridSearch:
    """Answers queries over the pictures of one sparse collection."""

    def __init__(self, indexes: WordIndexes, default: Fusion) -> None:
        """Takes the word indexes and the default fusion."""
        self.indexes, self.default = indexes, default

    def answer(
        self,
        text: str,
        vector: Vectors | None,
        nearest: dict[int, float],
        k: int,
        fusion_name: str = "",
        allowed: Keys | None = None,
    ) -> FusedMatches:
        """The k best pictures.

        Args:
            text: The text of the query in the user's syntax: `dog^2 -cat`.
            vector: The query's vector (dim,), if the model weights words by it.
            nearest: Cosines of the nearest pictures by key, at most `depth_for(k)`.
            k: Maximum number of pictures to return, at least 1.
            fusion_name: The fusion, see `fusion_of_parts`; empty for the default.
            allowed: If given, only pictures with these keys are returned.

        Raises:
            InputError: No index has a word of the query, and the given fusion has no dense part to fall back to; or
                the fusion is invalid.
        """
        fusion = fusion_of_parts(fusion_name) if fusion_name else self.default
        weights = dict(zip(PARTS, fusion.weights_for(len(PARTS)), strict=True))
        if not (weights["sparse"] or weights["bm25"]):
            return FusedMatches(_nearest(nearest, k), name_of(fusion))
        query = self._read(text, vector, weights)
        if not query.is_known:
            why = f"no word of the query is known: {', '.join(query.unknown) or 'it has none'}"
            if query.words and not any(weight > 0 for _, weight in query.words):
                why = "the query has only words to avoid"
            elif part_alone(fusion) == "bm25" and not len(self.indexes.captions):
                why = "no picture has a caption, so there are no words to search"
            if not (fusion_name and weights["dense"]):
                raise InputError(f"{why}; use other words, or the fusion dense")
            return FusedMatches(_nearest(nearest, k), name_of(DENSE), f"{why}; searched by vectors only")
        note = f"unknown, so not used in the search by words: {', '.join(query.unknown)}" if query.unknown else ""
        return FusedMatches(self._joined(query, nearest, fusion, k, allowed), name_of(fusion), note)

    def _read(self, text: str, vector: Vectors | None, weights: dict[str, float]) -> _LexicalQuery:
        words = parse_query(text)
        known: set[str] = set()
        if weights["sparse"]:
            known.update(self.indexes.model.vocabulary.words)
        if weights["bm25"]:
            known.update(word for word, _ in words if self.indexes.captions.knows(word))
        unknown = [word for word, _ in words if word not in known]
        return _LexicalQuery(
            words, self.indexes.model.query_weights(text, None if vector is None else vector[None]), unknown
        )

    def _joined(
        self, query: _LexicalQuery, nearest: dict[int, float], fusion: Fusion, k: int, allowed: Keys | None
    ) -> list[FusedMatch]:
        alone, depth = part_alone(fusion), depth_for(k)
        weights = dict(zip(PARTS, fusion.weights_for(len(PARTS)), strict=True))
        answers: dict[str, ScoredKeys] = {"dense": _answer_of(nearest)}
        if weights["sparse"]:
            answers["sparse"] = self.indexes.words.search(query.weights, depth, allowed)
        if weights["bm25"]:
            answers["bm25"] = self.indexes.captions.search(query.words, depth, allowed)
        none = np.empty((1, 0), np.float32), np.empty((1, 0), np.int64)
        parts = [answers.get(part, none) for part in PARTS]
        scores, keys = answers[alone] if alone else fuse(parts, fusion, k)
        ranked = [pair for pair in zip(keys[0, :k].tolist(), scores[0, :k].tolist(), strict=True) if pair[0] >= 0]
        return self._explained(query, ranked, answers, weights)

    def _explained(
        self,
        query: _LexicalQuery,
        ranked: list[tuple[int, float]],
        answers: dict[str, ScoredKeys],
        weights: dict[str, float],
    ) -> list[FusedMatch]:
        keys = np.array([key for key, _ in ranked], np.int64)
        scores_of: dict[str, dict[int, float]] = {
            part: dict(zip(answer[1][0].tolist(), answer[0][0].tolist(), strict=True))
            for part, answer in answers.items()
            if weights[part]
        }
        if weights["sparse"]:
            terms, shares = self.indexes.words.contributions(query.weights, keys)
            words = [self.indexes.model.vocabulary.words[term] for term in terms.tolist()]
        else:
            words, shares = [word for word, _ in query.words], self.indexes.captions.contributions(query.words, keys)
        explained = "sparse" if weights["sparse"] else "bm25"
        matches = []
        for (key, score), row in zip(ranked, shares.tolist(), strict=True):
            parts = {part: scores[key] for part, scores in scores_of.items() if key in scores}
            why = {word: weight for word, weight in zip(words, row, strict=True) if weight}
            if why:
                parts[explained] = sum(why.values())
            matches.append(FusedMatch(key, score, parts, why))
        return matches


def _nearest(nearest: dict[int, float], k: int) -> list[FusedMatch]:
    best = sorted(nearest.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
    return [FusedMatch(key, cosine, {"dense": cosine}) for key, cosine in best]


def _answer_of(nearest: dict[int, float]) -> ScoredKeys:
    best = sorted(nearest.items(), key=lambda pair: (-pair[1], pair[0]))
    keys = np.array([[key for key, _ in best]], np.int64).reshape(1, -1)
    return np.array([[cosine for _, cosine in best]], np.float32).reshape(1, -1), keys
