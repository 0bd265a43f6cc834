"""Relevance: the probability, 0 to 1, that a match is what the query describes.

A cosine alone does not tell: a correct picture for "hearts" has a lower cosine than a wrong picture for a long caption.
The cosine that a match needs depends on the query.

- `Fitted`, for collections with captions: a logistic regression on the cosine and the query's vector. The cosine from
  which a match is more likely right than wrong is a linear function of the query.
- `WithCaptions`, for text queries over pictures with several captions each: as `Fitted`, with the query's cosine with
  the nearest caption of the picture.
- `BesidePhrases`, for text queries over pictures without captions: a picture's cosine with the query is compared with
  its cosines with general phrases.
- `Background`, for all other queries: a match's cosine is compared with the query's cosines with a sample of the
  collection, which stands for documents that do not match.

Each rule increases with the cosine. `calibration.py` fits them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.arrays import arrays_in
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import MODALITIES, Modality, Vectors

Floats = NDArray[np.float64]

FITS_FROM = 0.5
"""The relevance from which a match is more likely right than wrong."""
LEAST_SPREAD = 1e-3
"""Smallest standard deviation of cosines; below it are rounding errors and identical pictures."""
FORMAT = 1


def fits(relevances: Sequence[float | None], least: float | None) -> bool | None:
    """True if the best match reaches the threshold, False if there are no matches, None if no match has a relevance.

    Args:
        relevances: Of the matches, None for a match without one.
        least: The threshold; `FITS_FROM` if None.

    Raises:
        InputError: `least` is given, and a match has no relevance to compare with it.
    """
    known = [relevance for relevance in relevances if relevance is not None]
    if least is not None and len(known) < len(relevances):
        raise InputError(
            "min_relevance: not every result has a relevance. The collection is not calibrated (run the command "
            "`calibrate`; it needs at least 20 pictures), or was searched by words alone (remove `fusion`)"
        )
    if not known:
        return None if relevances else False
    return max(known) >= (FITS_FROM if least is None else least)


class Judged(Protocol):
    """The pictures that a rule judges. Each method reads the store when it is called."""

    def vectors(self) -> Vectors:
        """(k, dim) float32, the vectors of the pictures."""
        ...

    def captions(self) -> Floats:
        """(k,) the query's cosine with the nearest caption of each picture, NaN for a picture without captions."""
        ...


class Rule(Protocol):
    """Turns the cosines of one query into relevances."""

    def of(self, query: Vectors, scores: Floats, judged: Judged) -> Floats:
        """Relevances (k,) in [0, 1] of matches with cosines `scores` (k,) with `query` (dim,), increasing with them."""
        ...


@dataclass(frozen=True)
class Fitted:
    """Relevance is 1 / (1 + exp(-(scale * score + direction . query + offset))); `scale` is positive.

    Source: Platt 1999 (Probabilistic outputs for support vector machines), with an offset that depends on the
        query, as the score normalisations of speaker verification have: Auckenthaler, Carey, Lloyd-Thomas 2000
        (Score normalization for text-independent speaker verification systems).

    Example:
        >>> rule = Fitted(10.0, np.float32([-4, 0]), 1.0)
        >>> rule.of(np.float32([1, 0]), np.array([0.3, 0.5])).round(3).tolist()
        [0.5, 0.881]
    """

    scale: float
    direction: Vectors  # (dim,)
    offset: float

    def of(self, query: Vectors, scores: Floats, judged: Judged | None = None) -> Floats:
        """As `Rule.of`."""
        threshold = np.asarray(query, np.float64) @ self.direction + self.offset
        return logistic(self.scale * np.asarray(scores, np.float64) + threshold)


@dataclass(frozen=True)
class WithCaptions:
    """As `Fitted`, plus `caption_scale`, at least 0, times the query's cosine with the picture's nearest caption.

    `without` judges pictures without captions.
    """

    fitted: Fitted
    caption_scale: float
    without: Fitted

    def of(self, query: Vectors, scores: Floats, judged: Judged) -> Floats:
        """As `Rule.of`."""
        captions = judged.captions()
        threshold = np.asarray(query, np.float64) @ self.fitted.direction + self.fitted.offset
        by_captions = self.caption_scale * np.nan_to_num(captions)
        logits = self.fitted.scale * np.asarray(scores, np.float64) + by_captions + threshold
        return np.where(np.isnan(captions), self.without.of(query, scores), logistic(logits))


@dataclass(frozen=True)
class BesidePhrases:
    """Relevance from how far a picture's cosine with the query lies above its cosines with general phrases.

    With z = (score - mean) / deviation over the picture's cosines with the phrases, a picture that the query does not
    describe stays below z with probability Phi(z), and the best of n such pictures with Phi(z)^n. The rest is as in
    `Background`.

    Source: t-norm of Auckenthaler, Carey, Lloyd-Thomas 2000 (Score normalization for text-independent speaker
        verification systems), with the picture as the speaker's model and the phrases as impostors; then `Background`.
    """

    mean: Vectors  # (dim,) of the phrases' vectors
    covariance: Vectors  # (dim, dim) of the phrases' vectors
    n: float
    """The number of independent pictures that the collection is equivalent to."""

    def of(self, query: Vectors, scores: Floats, judged: Judged) -> Floats:
        """As `Rule.of`."""
        return _relevance_of_best(self.z(np.asarray(scores, np.float64), judged.vectors()), self.n)

    def z(self, scores: Floats, pictures: Vectors) -> Floats:
        """The z-scores (..., k) of cosines (..., k) of pictures (k, dim), over their cosines with the phrases."""
        variances = np.einsum("kd,kd->k", pictures @ self.covariance, pictures).astype(np.float64)
        deviations = np.maximum(np.sqrt(np.maximum(variances, 0)), LEAST_SPREAD)
        is_stored = variances > 0  # the vector of a picture that was removed in the meantime is zero
        return np.where(is_stored, (scores - pictures @ self.mean) / deviations, -np.inf)


@dataclass(frozen=True)
class Background:
    """Relevance from how far a cosine lies above those of documents that do not match.

    With z = (score - mean) / deviation over the query's cosines with the background, the best of n documents that do
    not match stays below the score with probability Phi(z)^n. The p-value p = 1 - Phi(z)^n gives an upper bound of the
    probability of a match: 1 / (1 - e p ln p) for p < 1/e; from there to p = 1 it falls linearly from 1/2 to 0.

    Source: z-norm of Auckenthaler, Carey, Lloyd-Thomas 2000; the greatest of n by extreme value theory, as in Scheirer
        et al. 2011 (Meta-recognition: the theory and practice of recognition score analysis); from p to a probability
        Sellke, Bayarri, Berger 2001 (Calibration of p values for testing precise null hypotheses), equation 3, with
        even prior odds.

    Example:
        >>> rule = Background(np.float32([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]]), n=4)
        >>> rule.of(np.float32([1, 0]), np.array([0.2, 0.9, 3.0])).round(2).tolist()
        [0.0, 0.31, 1.0]
    """

    vectors: Vectors  # (m, dim), a sample of the collection
    n: int  # documents in the collection

    def of(self, query: Vectors, scores: Floats, judged: Judged | None = None) -> Floats:
        """As `Rule.of`."""
        background = (self.vectors @ np.asarray(query, np.float32)).astype(np.float64)
        z = (np.asarray(scores, np.float64) - background.mean()) / max(float(background.std()), LEAST_SPREAD)
        return _relevance_of_best(z, self.n)


def _relevance_of_best(z: Floats, n: float) -> Floats:
    """The relevances (k,) of z-scores (k,) among n documents that do not match; see `Background`."""
    p = -np.expm1(n * np.array([log_phi(each) for each in z.tolist()], np.float64))
    small = np.clip(p, 1e-300, np.exp(-1))
    favourable = 1 / (1 - np.e * small * np.log(small))
    relevance: Floats = np.where(p < np.exp(-1), favourable, 0.5 * (1 - p) / (1 - np.exp(-1)))
    return relevance


def logistic(logits: Floats) -> Floats:
    """1 / (1 + exp(-x)) elementwise, without overflow."""
    return np.exp(-np.logaddexp(0, -logits))


def log_phi(z: float) -> float:
    """The logarithm of the standard normal distribution function, accurate near 0."""
    if z > 0:
        return math.log1p(-math.erfc(z / math.sqrt(2)) / 2)
    return math.log(max(math.erfc(-z / math.sqrt(2)) / 2, 1e-300))


@dataclass(frozen=True)
class Calibration:
    """The relevance rules of a collection.

    Attributes:
        store_id: Of the store it was fitted on.
        last_seq: The sequence number of the store's last commit at that time.
        fitted: The rules fitted on captions, by modality of the query and of the matches.
        backgrounds: By modality of the matches, the rule of queries without a fitted one.
        words: The rule of text queries over pictures, used before both.
    """

    store_id: str
    last_seq: int
    fitted: dict[tuple[Modality, Modality], Fitted] = field(default_factory=dict)
    backgrounds: dict[Modality, Background] = field(default_factory=dict)
    words: WithCaptions | BesidePhrases | None = None

    def rule(self, modality: str, target: Modality) -> Rule | None:
        """The rule for queries of `modality`, `vector` for several parts, and matches of `target`, or None."""
        if (modality, target) == ("text", "image") and self.words is not None:
            return self.words
        fitted: dict[tuple[str, Modality], Fitted] = dict(self.fitted.items())
        return fitted.get((modality, target)) or self.backgrounds.get(target)

    def to_bytes(self) -> bytes:
        """The calibration as the content of an .npz file, which `from_bytes` reads."""
        arrays: dict[str, NDArray[np.generic]] = {
            "format": np.array(FORMAT), "store_id": np.array(self.store_id), "last_seq": np.array(self.last_seq)
        }  # fmt: skip
        for (modality, target), rule in self.fitted.items():
            arrays[f"{modality}-{target}"] = _numbers(rule)
        if isinstance(self.words, WithCaptions):
            arrays["captions"] = np.concatenate([[self.words.caption_scale], _numbers(self.words.fitted)])
            arrays["captions-without"] = _numbers(self.words.without)
        elif self.words is not None:
            arrays["phrases-mean"], arrays["phrases-n"] = self.words.mean, np.array(self.words.n)
            arrays["phrases-covariance"] = self.words.covariance
        for target, background in self.backgrounds.items():
            arrays[f"{target}-vectors"] = background.vectors.astype(np.float16)
            arrays[f"{target}-n"] = np.array(background.n)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Calibration:
        """The calibration that `to_bytes` wrote.

        Raises:
            StateError: The content is damaged or of another format.
        """
        try:
            arrays = arrays_in(content)
            if int(arrays["format"]) != FORMAT:
                raise StateError(f"the calibration has format {arrays['format']}, this program reads {FORMAT}")
            return cls._of(arrays)
        except (ValueError, KeyError) as error:
            raise StateError(f"the calibration is damaged ({error}): run `python app.py -t calibrate`") from error

    @classmethod
    def _of(cls, arrays: dict[str, NDArray[np.generic]]) -> Calibration:
        fitted, backgrounds = {}, {}
        for target in MODALITIES:
            for modality in MODALITIES:
                if (numbers := arrays.get(f"{modality}-{target}")) is not None:
                    fitted[modality, target] = _fitted(numbers)
            if (vectors := arrays.get(f"{target}-vectors")) is not None:
                backgrounds[target] = Background(vectors.astype(np.float32), int(arrays[f"{target}-n"]))
        return cls(str(arrays["store_id"]), int(arrays["last_seq"]), fitted, backgrounds, _words(arrays))


def _numbers(rule: Fitted) -> Floats:
    return np.concatenate([[rule.scale, rule.offset], rule.direction])


def _fitted(numbers: NDArray[np.generic]) -> Fitted:
    scale, offset, *direction = numbers.tolist()
    return Fitted(scale, np.array(direction, np.float32), offset)


def _words(arrays: dict[str, NDArray[np.generic]]) -> WithCaptions | BesidePhrases | None:
    if (numbers := arrays.get("captions")) is not None:
        return WithCaptions(_fitted(numbers[1:]), float(numbers[0]), _fitted(arrays["captions-without"]))
    if (mean := arrays.get("phrases-mean")) is not None:
        covariance = arrays["phrases-covariance"].astype(np.float32)
        return BesidePhrases(mean.astype(np.float32), covariance, float(arrays["phrases-n"]))
    return None
