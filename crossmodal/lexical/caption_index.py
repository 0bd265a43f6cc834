"""BM25 over the captions of each picture together, which come and go one by one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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

NOWHERE = -1  # the key of a picture that is not there yet
Places = NDArray[np.int64]


@dataclass(frozen=True)
class _Pictures:
    """What BM25 has to know of the pictures that have captions now."""

    keys: Keys  # (p,), ascending
    of_row: Places  # (n,) which of them a caption is of, -1 for none of them
    relative_lengths: NDArray[np.float64]  # (p,) words of all captions of each, by their mean


class CaptionIndex:
    """How often each word is in each caption, by caption; scores are of pictures, by all their captions together.

    Rows are captions, so one can come and go without the others, and what BM25 counts is always of what is there
    now. A word is one from its first caption on.
    """

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
        """Captions that came since the index was compacted."""
        return self._counts.n_tail

    @property
    def n_dead(self) -> int:
        """Removed captions that are still there."""
        return self._counts.n_dead

    @property
    def n_pictures(self) -> int:
        """Pictures that have a caption."""
        return len(self._statistics().keys)

    def add(self, keys: Keys, texts: Sequence[str], pictures: Keys) -> None:
        """Adds n captions.

        Args:
            keys: (n,) int64, ascending and greater than all that are there.
            texts: What they say.
            pictures: (n,) the key of each one's picture; NOWHERE where it is not there yet.
        """
        rows, columns, values, lengths = [], [], [], []
        for row, text in enumerate(texts):
            words = words_of(text)
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
        """Removes the captions of these keys; returns how many were there."""
        self._known = None
        return self._counts.remove(keys)

    def counts_of(self, keys: Sequence[int]) -> list[Counter[str]]:
        """How often each word is in each of these captions; no words where one is not there."""
        words = list(self.terms)
        every = self._counts.weights_of(np.array(keys, np.int64), np.arange(len(words)))
        return [Counter({words[term]: int(row[term]) for term in np.flatnonzero(row)}) for row in every]

    def waiting(self) -> Keys:
        """The captions whose picture is not there yet."""
        keys: Keys = self._counts.keys[self._counts.alive & (self._pictures == NOWHERE)]
        return keys

    def found_picture(self, key: int, picture: int) -> None:
        """Says which picture a caption is of that was waiting for it."""
        self._pictures[np.searchsorted(self._counts.keys, key)] = picture
        self._known = None

    def search(self, query: Sequence[tuple[str, float]], k: int, allowed: Keys | None = None) -> tuple[Weights, Keys]:
        """The k best pictures among those that share a word of positive weight with the query.

        Args:
            query: Words, each once, and their weights; a negative one is of a word to be avoided.
            k: How many, at least 1.
            allowed: If given, only pictures with these keys are found.

        Returns:
            Scores (1, k), falling, and keys (1, k); equal scores by ascending key; where fewer are found the rest
            is -1 with a score of -inf.
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
        """What each of t words gives to the score of each of n pictures, (n, t)."""
        pictures = self._statistics()
        places = np.searchsorted(pictures.keys, keys)
        there = places < len(pictures.keys)
        there[there] = pictures.keys[places[there]] == keys[there]
        found = np.zeros((len(keys), len(query)), np.float32)
        for column, (word, weight) in enumerate(query):
            of_all = np.zeros(len(pictures.keys))
            having, gains = self._gains(word)
            of_all[having] = weight * gains
            found[there, column] = of_all[places[there]]
        return found

    def _gains(self, word: str) -> tuple[Places, NDArray[np.float64]]:
        """The pictures that have a word, and the BM25 weight of it in each."""
        term, pictures = self.terms.get(word), self._statistics()
        if term is None:
            return np.empty(0, np.int64), np.empty(0)
        rows, counts = self._counts.posted_rows(term)
        places = pictures.of_row[rows]
        of_all = np.bincount(places[places >= 0], counts[places >= 0], len(pictures.keys)).astype(np.float64)
        having = np.flatnonzero(of_all)
        rare = float(rarity(len(pictures.keys), np.array([len(having)]))[0])
        return having, rare * saturated(of_all[having], pictures.relative_lengths[having])

    def _statistics(self) -> _Pictures:
        if self._known is None:
            counts = np.flatnonzero(self._counts.alive & (self._pictures != NOWHERE))
            keys, places = np.unique(self._pictures[counts], return_inverse=True)
            of_row = np.full(len(self._pictures), -1, np.int64)
            of_row[counts] = places
            lengths = np.bincount(places, self._lengths[counts], len(keys))
            mean = float(lengths.mean()) if lengths.any() else 1.0
            self._known = _Pictures(keys, of_row, lengths / mean)
        return self._known

    # -- on the disk

    def compacted(self) -> CaptionIndex:
        """The same captions in a new index without a tail and without removed ones; this one stays as it is."""
        made, alive = CaptionIndex(), self._counts.alive
        made.terms, made._counts = dict(self.terms), self._counts.compacted()
        made._pictures, made._lengths = self._pictures[alive], self._lengths[alive]
        return made

    def save(self, folder: Path, stem: str) -> list[str]:
        """Writes a compacted index; returns the names of the files: the lists, the words, what captions are of."""
        if self.n_tail or self.n_dead:
            raise ValueError("compact the index before it is saved")
        names = self._counts.save(folder, stem)
        rest = {"words": list(self.terms), "pictures": self._pictures.tolist(), "lengths": self._lengths.tolist()}
        write_atomically(folder / f"{stem}.captions.json", json.dumps(rest, ensure_ascii=False).encode())
        return [*names, f"{stem}.captions.json"]

    @classmethod
    def load(cls, folder: Path, stem: str) -> CaptionIndex:
        """Opens what `save` wrote.

        Raises:
            StateError: A file is missing, damaged, or not of the others.
        """
        made, path = cls(), folder / f"{stem}.captions.json"
        made._counts = SparseIndex.load(folder, stem)
        try:
            rest = json.loads(path.read_bytes())
            made.terms = {word: term for term, word in enumerate(rest["words"])}
            made._pictures, made._lengths = np.array(rest["pictures"], np.int64), np.array(rest["lengths"], np.int32)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateError(f"{path} {read_failure(error, path)}") from error
        n = len(made._counts)
        if (len(made.terms), len(made._pictures), len(made._lengths)) != (made._counts.n_terms, n, n):
            raise StateError(f"{path} is not of the lists beside it")
        return made
