"""How likely a result is what was asked for: scores turned into a relevance of 0 to 1.

A cosine says little by itself: a picture that "hearts" is true of scores less than a wrong picture does for a
long caption. What a score has to be compared with depends on the query.

- `Fitted`, where there are captions: a logistic regression on the score and on the query's vector, so the
  score from which a result is more likely right than wrong is a linear function of the query.
- `WithCaptions`, for words among pictures with several captions each: also on how near the words are to the picture's
  own captions.
- `BesidePhrases`, for words among pictures without captions: a picture's score with the query is compared with its
  scores with phrases of all kinds.
- `Background`, for other queries: the query's scores with a sample of the collection are taken for scores of what
  does not fit, and the relevance says how much the best of so many would have to be exceeded.

All rise with the score of a picture. `calibration.py` fits them.
"""

from __future__ import annotations

import io
import logging
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import MODALITIES, Modality, Vectors

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]

FITS_FROM = 0.5
"""The relevance from which a result is more likely right than wrong."""
LEAST_SPREAD = 1e-3
"""Standard deviations of scores below this are rounding, or pictures that are all the same."""
FORMAT = 1


def fits(relevances: Sequence[float | None], least: float | None) -> bool | None:
    """Whether the best of the results of a query is relevant: not where there is none, None where none has a relevance.

    Args:
        relevances: Of the results, None where one has none.
        least: What is asked for; FITS_FROM where nothing is.

    Raises:
        InputError: `least` is asked for, and some results have no relevance, so that they can't be told.
    """
    known = [relevance for relevance in relevances if relevance is not None]
    if least is not None and len(known) < len(relevances):
        raise InputError(
            "min_relevance: not every result has a relevance. The collection is not calibrated (run `python app.py "
            "-t calibrate`; it takes at least 20 pictures), or was searched by words alone (leave `fusion` out)"
        )
    if not known:
        return None if relevances else False
    return max(known) >= (FITS_FROM if least is None else least)


class Judged(Protocol):
    """What a rule may ask about the pictures it judges; asking costs a look into the store."""

    def vectors(self) -> Vectors:
        """(k, dim) the pictures' own vectors."""
        ...

    def captions(self) -> Floats:
        """(k,) the query's cosine with the nearest caption of each picture, NaN where one has none."""
        ...


class Rule(Protocol):
    """Turns the scores of one query into relevances."""

    def of(self, query: Vectors, scores: Floats, judged: Judged) -> Floats:
        """Relevances (k,) in [0, 1], which rise with the score, for a query (dim,) and its scores (k,)."""
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
    """As `Fitted`, with `caption_scale` times the query's cosine with the picture's nearest caption; not negative.

    A picture without captions is judged by `without`.
    """

    fitted: Fitted
    caption_scale: float
    without: Fitted

    def of(self, query: Vectors, scores: Floats, judged: Judged) -> Floats:
        """As `Rule.of`."""
        captions = judged.captions()
        threshold = np.asarray(query, np.float64) @ self.fitted.direction + self.fitted.offset
        by_captions = self.caption_scale * np.nan_to_num(captions)
        told = self.fitted.scale * np.asarray(scores, np.float64) + by_captions + threshold
        return np.where(np.isnan(captions), self.without.of(query, scores), logistic(told))


@dataclass(frozen=True)
class BesidePhrases:
    """Relevance from how far a picture's score with the query lies above its scores with phrases of all kinds.

    With z = (score - mean) / deviation over the picture's scores with the phrases, a picture that the query is not true
    of stays below z with probability Phi(z), the best of n such pictures with Phi(z)^n. From there as `Background`.

    Source: t-norm of Auckenthaler, Carey, Lloyd-Thomas 2000 (Score normalization for text-independent speaker
        verification systems): a picture is a speaker's model, the phrases are impostors. The rest as `Background`.
    """

    mean: Vectors  # (dim,) of the phrases' vectors
    covariance: Vectors  # (dim, dim)
    n: float
    """How many independent pictures the collection counts for."""

    def of(self, query: Vectors, scores: Floats, judged: Judged) -> Floats:
        """As `Rule.of`."""
        return _relevance_of_best(self.z(np.asarray(scores, np.float64), judged.vectors()), self.n)

    def z(self, scores: Floats, pictures: Vectors) -> Floats:
        """The scores (..., k) of pictures (k, dim) in deviations from the mean of the phrases' scores."""
        variances = np.einsum("kd,kd->k", pictures @ self.covariance, pictures).astype(np.float64)
        deviations = np.maximum(np.sqrt(np.maximum(variances, 0)), LEAST_SPREAD)
        is_there = variances > 0  # a picture that was removed in the meantime has zeros for a vector
        return np.where(is_there, (scores - pictures @ self.mean) / deviations, -np.inf)


@dataclass(frozen=True)
class Background:
    """Relevance from how far a score lies above those of what does not fit.

    With z = (score - mean) / deviation over the background's scores with the query, the best of n that do not fit
    stays below the score with probability Phi(z)^n. The p-value p = 1 - Phi(z)^n becomes the chance that the result
    fits, as favourable as p allows: 1 / (1 - e p ln p) for p < 1/e; from there to p = 1 it falls from 1/2 to 0.

    Source: z-norm of Auckenthaler, Carey, Lloyd-Thomas 2000; the greatest of n by extreme value theory, as in Scheirer
        et al. 2011 (Meta-recognition: the theory and practice of recognition score analysis); from p to a chance
        Sellke, Bayarri, Berger 2001 (Calibration of p values for testing precise null hypotheses), equation 3, with
        even odds beforehand.

    Example:
        >>> rule = Background(np.float32([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]]), n=4)
        >>> rule.of(np.float32([1, 0]), np.array([0.2, 0.9, 3.0])).round(2).tolist()
        [0.0, 0.31, 1.0]
    """

    vectors: Vectors  # (m, dim)
    n: int

    def of(self, query: Vectors, scores: Floats, judged: Judged | None = None) -> Floats:
        """As `Rule.of`."""
        beside = (self.vectors @ np.asarray(query, np.float32)).astype(np.float64)
        z = (np.asarray(scores, np.float64) - beside.mean()) / max(float(beside.std()), LEAST_SPREAD)
        return _relevance_of_best(z, self.n)


def _relevance_of_best(z: Floats, n: float) -> Floats:
    """The relevance of scores (k,) of z deviations, where the best of n that do not fit would have one, too."""
    p = -np.expm1(n * np.array([log_phi(each) for each in z.tolist()], np.float64))
    small = np.clip(p, 1e-300, np.exp(-1))
    favourable = 1 / (1 - np.e * small * np.log(small))
    relevance: Floats = np.where(p < np.exp(-1), favourable, 0.5 * (1 - p) / (1 - np.exp(-1)))
    return relevance


def logistic(logits: Floats) -> Floats:
    """1 / (1 + exp(-x)) of each, without an overflow."""
    return np.exp(-np.logaddexp(0, -logits))


def log_phi(z: float) -> float:
    """The logarithm of the standard normal distribution function, exact where it is near 0."""
    if z > 0:
        return math.log1p(-math.erfc(z / math.sqrt(2)) / 2)
    return math.log(max(math.erfc(-z / math.sqrt(2)) / 2, 1e-300))


@dataclass(frozen=True)
class Calibration:
    """The rules of a collection, by what is asked with and what is asked for, as ("text", "image").

    `fitted` holds those that captions allow. `backgrounds` are by what is asked for, and serve every query that has
    no rule of its own. `words` is for words among pictures, before both. `store_id` and `last_seq` say of which state
    of the store it is.
    """

    store_id: str
    last_seq: int
    fitted: dict[tuple[Modality, Modality], Fitted] = field(default_factory=dict)
    backgrounds: dict[Modality, Background] = field(default_factory=dict)
    words: WithCaptions | BesidePhrases | None = None

    def rule(self, asked: str, target: Modality) -> Rule | None:
        """The rule for a query of the modality `asked` ("vector" for one that has several parts), or None."""
        if (asked, target) == ("text", "image") and self.words is not None:
            return self.words
        known: dict[tuple[str, Modality], Fitted] = dict(self.fitted.items())
        return known.get((asked, target)) or self.backgrounds.get(target)

    def to_bytes(self) -> bytes:
        """The calibration as the content of an .npz file; `from_bytes` turns it back."""
        arrays: dict[str, NDArray[np.generic]] = {
            "format": np.array(FORMAT), "store_id": np.array(self.store_id), "last_seq": np.array(self.last_seq)
        }  # fmt: skip
        for (asked, target), rule in self.fitted.items():
            arrays[f"{asked}-{target}"] = _numbers(rule)
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
        """Reads what `to_bytes` made.

        Raises:
            StateError: It is damaged, or of another format.
        """
        try:
            with np.load(io.BytesIO(content)) as arrays:
                if int(arrays["format"]) != FORMAT:
                    raise StateError(f"the calibration has format {arrays['format']}, this program reads {FORMAT}")
                return cls._of(dict(arrays))
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise StateError(f"the calibration is damaged ({error}): run `python app.py -t calibrate`") from error

    @classmethod
    def _of(cls, arrays: dict[str, NDArray[np.generic]]) -> Calibration:
        fitted, backgrounds = {}, {}
        for target in MODALITIES:
            for asked in MODALITIES:
                if (numbers := arrays.get(f"{asked}-{target}")) is not None:
                    fitted[asked, target] = _fitted(numbers)
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


class CalibrationFile:
    """The calibration of a collection as it is on the disk now, read again when it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._held: Calibration | None = None

    def current(self) -> Calibration | None:
        """The calibration, or None where there is none; asking again costs microseconds.

        Over a damaged one no search fails: it is named in the log, and there are no relevances until it is made again.
        """
        try:
            found = self._path.stat()
            if (found.st_ino, found.st_mtime_ns) != self._seen:
                self._held, self._seen = None, (found.st_ino, found.st_mtime_ns)
                self._held = Calibration.from_bytes(self._path.read_bytes())
        except FileNotFoundError:
            self._held, self._seen = None, None
        except (StateError, OSError) as error:
            self._held = None
            log.error("%s: %s", self._path, error)
        return self._held
