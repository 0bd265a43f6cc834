"""Search by the text that was read in pictures: a picture in which all words of a query stand comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crossmodal.core.reading import Reading, ReadLine, ReadWord, folded_words
from crossmodal.core.types import Keys, Vectors
from crossmodal.search.combining import without_avoided
from crossmodal.search.fusion import depth_for
from crossmodal.search.ranking import Ranked
from crossmodal.store.protocol import Store

if TYPE_CHECKING:
    from crossmodal.lexical.reading_replica import ReadingReplica

Allowed = Callable[[], Keys | None]
"""Returns the keys of the pictures that meet the condition of a query, None without one."""
ALL_WORDS = 1.0
"""Added to the score of a picture in which all words of the query stand: more than any difference of two cosines."""
SOME_WORDS = 2 / 3
"""Of the best score without this text, added for some of the words, times their share.

On the 1,000 pictures and 5,000 captions of Flickr8k's dev split, 0.3 to 1 raise the recall at 1, 5 and 10 a little.
"""
_SAYING = frozenset(["say", "says", "saying", "written", "text", "word", "words", "lettering", "sign", "signs"])
"""Words of a query that speak of text: not looked for in pictures if there are others."""


@dataclass(frozen=True)
class ReadMatch:
    """A picture in which words of a query stand.

    Attributes:
        share: The share of the words, weighted by their rarity, 0 to 1; 1 if all of them stand there.
        words: The BM25 weight of each word that does.
    """

    share: float
    words: dict[str, float]


class TextInPictures:
    """Searches the text in the pictures of one generation of a collection."""

    def __init__(self, store: Store, index_folder: Path) -> None:
        """Takes the open store; the index is opened when the first picture with text is noticed."""
        self._store, self._folder = store, index_folder
        self._replica: ReadingReplica | None = None
        self._seen_version: tuple[int, int] | None = None

    def refresh(self) -> None:
        """Applies new commits to the index, which each search also does."""
        if self._replica is not None:
            self._replica.refresh()
        elif (version := self._store.data_version()) != self._seen_version:
            if self._store.readings.exist()[1]:
                from crossmodal.lexical.reading_replica import ReadingReplica

                self._replica = ReadingReplica(self._store, self._folder)
            self._seen_version = version

    def matches(self, text: str, top_k: int, allowed: Allowed) -> dict[int, ReadMatch]:
        """The best pictures by key in which words of a query stand; empty if no text was read in any picture.

        Args:
            text: The text of the query, in the user's syntax.
            top_k: Number of results of the query.
            allowed: Returns the keys of the pictures that may be found, None for all.
        """
        self.refresh()
        if self._replica is None or not (words := looked_for(text)):
            return {}
        found = self._replica.matches(words, allowed())
        gains = found.gains.sum(axis=1)
        best = np.lexsort((found.keys, -gains, -found.shares))[: depth_for(top_k)]
        return {
            int(found.keys[at]): ReadMatch(
                float(found.shares[at]),
                {word: float(gain) for word, gain in zip(words, found.gains[at], strict=True) if gain > 0},
            )
            for at in best
        }

    def joined(
        self, ranked: Sequence[Ranked], matches: Mapping[int, ReadMatch], vector: Vectors | None, top_k: int
    ) -> list[Ranked]:
        """The `top_k` best pictures by their scores and the words that stand in them.

        Args:
            ranked: The pictures that were found without this text.
            matches: Those in which words stand, by key.
            vector: The query's vector (dim,), for the cosine of pictures that are not in `ranked`; their score is 0
                without it.
            top_k: Maximum number of pictures.
        """
        by_key = {one.key: one for one in ranked}
        missing = [key for key in matches if key not in by_key]
        by_key |= {one.key: one for one in self._unranked(missing, vector)}
        some_words = SOME_WORDS * max((_score(one) for one in ranked), default=0.0)
        joined = [_with_words(one, matches[key], some_words) if key in matches else one for key, one in by_key.items()]
        return sorted(joined, key=lambda one: (-_score(one), one.key))[:top_k]

    def _unranked(self, keys: Sequence[int], vector: Vectors | None) -> list[Ranked]:
        """Pictures that were only found by their text."""
        if vector is None:
            return [Ranked(key, {}) for key in keys]
        documents = self._store.by_keys(keys)
        vectors = self._store.vectors_of(document.id for document in documents.values())
        return [
            Ranked(key, {"cosine": float(vector @ vectors[document.id])})
            for key, document in documents.items()
            if document.id in vectors
        ]

    def certainties(self, image_ids: Iterable[str], words: Sequence[str]) -> dict[str, float]:
        """The certainty of the reader, 0 to 1, that all words stand in each picture, by id."""
        return {name: _certainty(reading, words) for name, reading in self._store.readings.of(image_ids).items()}


def looked_for(text: str) -> list[str]:
    """The words of a query that are looked for in pictures: distinct, without those to avoid and common ones.

    >>> looked_for("a sign that says OPEN -red"), looked_for("the"), looked_for("signs")
    (['open'], [], ['signs'])
    """
    from crossmodal.lexical.terms import STOP_WORDS

    words = list(dict.fromkeys(folded_words(without_avoided(text)[0])))
    common = {word.replace("'", "") for word in STOP_WORDS}
    wanted = [word for word in words if word not in common]
    return [word for word in wanted if word not in _SAYING] or wanted


def stands_in(word: str, text: str) -> bool:
    """Whether a word of `folded_words` stands in a text, also inside a longer word.

    >>> stands_in("parking", "NOPARKING!"), stands_in("art", "PARTY")
    (True, False)
    """
    from crossmodal.lexical.reading_index import CONTAINED_FROM

    contains = len(word) >= CONTAINED_FROM or not word.isascii()
    return any(word == other or (contains and word in other) for other in folded_words(text))


def _certainty(reading: Reading, words: Sequence[str]) -> float:
    words_read = [word for line in reading.lines for word in line.words]
    parts: list[ReadLine | ReadWord] = [*reading.lines, *words_read]
    sure = ([part.confidence for part in parts if stands_in(word, part.text)] for word in words)
    return min((max(found, default=0.0) for found in sure), default=0.0)


def _with_words(ranked: Ranked, match: ReadMatch, some_words: float) -> Ranked:
    """A picture with the words that stand in it; in double quotes among those that explain its score."""
    is_whole = match.share == 1.0
    added = ALL_WORDS if is_whole else some_words * match.share
    scores = {**ranked.scores, "fused": _score(ranked) + added, "text": sum(match.words.values())}
    why = {**ranked.why, **{f'"{word}"': weight for word, weight in match.words.items()}}
    return replace(ranked, scores=scores, why=why, read=tuple(match.words) if is_whole else ())


def _score(ranked: Ranked) -> float:
    return ranked.scores.get("fused", ranked.scores.get("cosine", 0.0))
