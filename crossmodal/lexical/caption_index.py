"""BM25 over the joined captions of each image, with captions added and removed individually."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from crossmodal.core.errors import StateError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import read_failure
from crossmodal.core.types import Keys
from crossmodal.lexical.best import best_rows
from crossmodal.lexical.bm25 import rarity, saturated
from crossmodal.lexical.inverted import SparseIndex
from crossmodal.lexical.postings import Weights
from crossmodal.lexical.terms import words_of

NO_PICTURE = -1  # in place of the key of an image that is not in the store yet
Places = NDArray[np.int64]


@dataclass(frozen=True)
class _Pictures:
    """BM25's statistics of the images that have captions."""

    keys: Keys  # (p,), ascending
    of_row: Places  # (n,) index into `keys` of each caption's image, or -1
    relative_lengths: NDArray[np.float64]  # (p,) number of words in an image's captions, divided by the mean


class CaptionIndex:
    """The counts of words by caption; a search scores images by their joined captions.

    Rows are captions, so that each can be added and removed individually, and BM25's statistics always describe the
    current captions. A word stays in the vocabulary after its captions are removed. A subclass may split texts in
    another way.
    """

    split = staticmethod(words_of)

    def __init__(self) -> None:
        self.terms: dict[str, int] = {}
        self._counts = SparseIndex(0)
        self._pictures: Keys = np.empty(0, np.int64)
        self._lengths = np.empty(0, np.int32)
        self._known: _Pictures | None = None

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def n_tail(self) -> int:
        """Captions added since the index was compacted."""
        return self._counts.n_tail

    @property
    def n_dead(self) -> int:
        """Removed captions that still take memory."""
        return self._counts.n_dead

    @property
    def n_pictures(self) -> int:
        """Number of images with captions."""
        return len(self._statistics().keys)

    def add(self, keys: Keys, texts: Sequence[str], pictures: Keys) -> None:
        """Adds n captions.

        Args:
            keys: (n,) int64, ascending and greater than all keys in the index.
            texts: The captions.
            pictures: (n,) the key of each caption's image, or NO_PICTURE if it is not in the store yet.
        """
        rows, columns, values, lengths = [], [], [], []
        for row, text in enumerate(texts):
            words = self.split(text)
            lengths.append(len(words))
            for word, count in Counter(words).items():
                rows.append(row)
                columns.append(self.terms.setdefault(word, len(self.terms)))
                values.append(count)
        self._counts.widen(len(self.terms))
        counts = csr_matrix((np.array(values, np.float32), (rows, columns)), shape=(len(texts), len(self.terms)))
        self._counts.add(keys, counts)
        self._pictures = np.concatenate([self._pictures, np.asarray(pictures, np.int64)])
        self._lengths = np.concatenate([self._lengths, np.array(lengths, np.int32)])
        self._known = None

    def remove(self, keys: Keys) -> int:
        """Removes the captions with these keys; returns how many were in the index."""
        self._known = None
        return self._counts.remove(keys)

    def counts_of(self, keys: Sequence[int]) -> list[Counter[str]]:
        """The counts of the words of each of these captions; empty for a caption that is not in the index."""
        words = list(self.terms)
        rows = self._counts.weights_of(np.array(keys, np.int64), np.arange(len(words)))
        return [Counter({words[term]: int(row[term]) for term in np.flatnonzero(row)}) for row in rows]

    def waiting(self) -> Keys:
        """The keys of the captions whose image is not in the store yet."""
        keys: Keys = self._counts.keys[self._counts.alive & (self._pictures == NO_PICTURE)]
        return keys

    def set_picture(self, key: int, picture: int) -> None:
        """Sets the image of a caption that was added before its image."""
        self._pictures[np.searchsorted(self._counts.keys, key)] = picture
        self._known = None

    def search(self, query: Sequence[tuple[str, float]], k: int, allowed: Keys | None = None) -> tuple[Weights, Keys]:
        """The k best images that share a word of positive weight with the query.

        Args:
            query: Distinct words with weights; a negative weight is for a word to avoid.
            k: Number of results, at least 1.
            allowed: If given, only images with these keys are returned.

        Returns:
            Scores (1, k), falling, and keys (1, k), ties by ascending key; missing results have the key -1 and the
            score -inf.
        """
        pictures = self._statistics()
        sums, shares = np.zeros(len(pictures.keys)), np.zeros(len(pictures.keys), np.bool_)
        for word, weight in query:
            places, gains = self._gains(word)
            sums[places] += weight * gains
            if weight > 0:
                shares[places] = True
        if allowed is not None:
            shares &= np.isin(pictures.keys, allowed)
        of_all = np.where(shares, sums, -np.inf).astype(np.float32)
        best = best_rows(of_all, k, -np.inf)
        scores, keys = np.full((1, k), -np.inf, np.float32), np.full((1, k), -1, np.int64)
        scores[0, : len(best)], keys[0, : len(best)] = of_all[best], pictures.keys[best]
        return scores, keys

    def contributions(self, query: Sequence[tuple[str, float]], keys: Keys) -> Weights:
        """The contribution of each of t words to the score of each of n images, (n, t); 0 for unknown keys."""
        pictures = self._statistics()
        places = np.searchsorted(pictures.keys, keys)
        is_known = places < len(pictures.keys)
        is_known[is_known] = pictures.keys[places[is_known]] == keys[is_known]
        contributions = np.zeros((len(keys), len(query)), np.float32)
        for column, (word, weight) in enumerate(query):
            of_all = np.zeros(len(pictures.keys))
            having, gains = self._gains(word)
            of_all[having] = weight * gains
            contributions[is_known, column] = of_all[places[is_known]]
        return contributions

    def _gains(self, word: str) -> tuple[Places, NDArray[np.float64]]:
        """The images with a word, as indices into the statistics' keys, and its BM25 weight in each."""
        term, pictures = self.terms.get(word), self._statistics()
        if term is None:
            return np.empty(0, np.int64), np.empty(0)
        rows, counts = self._counts.posted_rows(term)
        places = pictures.of_row[rows]
        of_all = np.bincount(places[places >= 0], counts[places >= 0], len(pictures.keys)).astype(np.float64)
        having = np.flatnonzero(of_all)
        idf = float(rarity(len(pictures.keys), np.array([len(having)]))[0])
        return having, idf * saturated(of_all[having], pictures.relative_lengths[having])

    def _statistics(self) -> _Pictures:
        if self._known is None:
            rows = np.flatnonzero(self._counts.alive & (self._pictures != NO_PICTURE))
            keys, places = np.unique(self._pictures[rows], return_inverse=True)
            of_row = np.full(len(self._pictures), -1, np.int64)
            of_row[rows] = places
            lengths = np.bincount(places, self._lengths[rows], len(keys))
            mean = float(lengths.mean()) if lengths.any() else 1.0
            self._known = _Pictures(keys, of_row, lengths / mean)
        return self._known

    # -- on the disk

    def compacted(self) -> Self:
        """A new index of the same captions, without a tail and without removed captions; this one is unchanged."""
        index, alive = type(self)(), self._counts.alive
        index.terms, index._counts = dict(self.terms), self._counts.compacted()
        index._pictures, index._lengths = self._pictures[alive], self._lengths[alive]
        return index

    def save(self, folder: Path, stem: str) -> list[str]:
        """Writes a compacted index; returns the names of the files: those of the posting lists, and a JSON file.

        Raises:
            ValueError: The index is not compacted.
        """
        if self.n_tail or self.n_dead:
            raise ValueError("the index has a tail or removed captions: call compacted() first")
        names = self._counts.save(folder, stem)
        rest = {"words": list(self.terms), "pictures": self._pictures.tolist(), "lengths": self._lengths.tolist()}
        write_atomically(folder / f"{stem}.captions.json", json.dumps(rest, ensure_ascii=False).encode())
        return [*names, f"{stem}.captions.json"]

    @classmethod
    def load(cls, folder: Path, stem: str) -> Self:
        """Opens an index that `save` wrote.

        Raises:
            StateError: A file is missing or damaged, or the files don't belong together.
        """
        index, path = cls(), folder / f"{stem}.captions.json"
        index._counts = SparseIndex.load(folder, stem)
        try:
            rest = json.loads(path.read_bytes())
            index.terms = {word: term for term, word in enumerate(rest["words"])}
            index._pictures, index._lengths = np.array(rest["pictures"], np.int64), np.array(rest["lengths"], np.int32)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateError(f"{path} {read_failure(error, path)}") from error
        n = len(index._counts)
        if (len(index.terms), len(index._pictures), len(index._lengths)) != (index._counts.n_terms, n, n):
            raise StateError(f"{path} does not belong to the posting lists beside it")
        return index
