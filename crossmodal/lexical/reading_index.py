"""BM25 over the text that was read in pictures, with the share of a query's words that stand in each picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.reading import folded_words
from crossmodal.core.types import Keys
from crossmodal.lexical.bm25 import rarity, saturated
from crossmodal.lexical.caption_index import CaptionIndex

CONTAINED_FROM = 5
"""Letters of a word that is also found inside of a longer one, because readers join words: NOPARKING."""
SIMILAR_FROM = 6
"""Letters of a word that is also found with one letter more, less or another one, which readers confuse."""
SIMILAR = 0.5
"""What a similar word counts; words that contain the query's count as the same."""


@dataclass(frozen=True)
class ReadMatches:
    """The pictures in which at least one word of a query stands.

    Attributes:
        keys: (n,) the keys of the pictures, rising.
        shares: (n,) the share of the query's words that stand in each picture, weighted by their rarity; 1 if all do.
        gains: (n, t) the BM25 weight of each word in each picture.
    """

    keys: Keys
    shares: NDArray[np.float64]
    gains: NDArray[np.float64]


class ReadingIndex(CaptionIndex):
    """The texts in pictures, each picture with one at most: a row is a reading, with its sequence number as key."""

    split = staticmethod(folded_words)

    def remove(self, keys: Keys) -> int:
        """Removes the readings of the pictures with these keys; returns how many were in the index."""
        rows = self._counts.alive & np.isin(self._pictures, keys)
        return super().remove(self._counts.keys[rows])

    def matches(self, words: Sequence[str], allowed: Keys | None = None) -> ReadMatches:
        """The pictures in which a word of a query stands.

        Args:
            words: Distinct words of `folded_words`.
            allowed: If given, only pictures with these keys are returned.
        """
        pictures = self._statistics()
        n_pictures = len(pictures.keys)
        certainty, gains = np.zeros((n_pictures, len(words))), np.zeros((n_pictures, len(words)))
        for column, word in enumerate(words):
            for term, counts_as in self._terms_like(word).items():
                rows, counts = self._counts.posted_rows(term)
                places = pictures.of_row[rows]
                found = places[places >= 0]
                times = counts[places >= 0].astype(np.float64)
                certainty[found, column] = np.maximum(certainty[found, column], counts_as)
                gains[found, column] += counts_as * saturated(times, pictures.relative_lengths[found])
        rarities = rarity(n_pictures, np.count_nonzero(certainty, axis=0))
        shares = certainty @ rarities / max(rarities.sum(), np.finfo(float).tiny)
        shares[(certainty == 1).all(axis=1)] = 1.0 if len(words) else 0.0  # not a little less by rounding
        is_match = shares > 0
        if allowed is not None:
            is_match &= np.isin(pictures.keys, allowed)
        return ReadMatches(pictures.keys[is_match], shares[is_match], (gains * rarities)[is_match])

    def _terms_like(self, word: str) -> dict[int, float]:
        """The terms that a word of a query is found by, and what each counts."""
        found: dict[int, float] = {}
        if (same := self.terms.get(word)) is not None:
            found[same] = 1.0
        contains = len(word) >= CONTAINED_FROM or not word.isascii()
        if contains:
            found |= {place: 1.0 for term, place in self.terms.items() if word in term}
        if len(word) >= SIMILAR_FROM:
            for term, place in self.terms.items():
                if place not in found and _is_similar(word, term):
                    found[place] = SIMILAR
        return found


def _is_similar(one: str, other: str) -> bool:
    """Whether a single letter differs, is missing or is added."""
    if abs(len(one) - len(other)) > 1:
        return False
    shorter, longer = sorted((one, other), key=len)
    start = next((i for i, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    return shorter[start + (len(one) == len(other)) :] == longer[start + 1 :]
