"""Fits the relevance rules of a collection to its own pictures and captions, without human judgements.

Each caption is known to describe its picture. A query is used twice: its best cosine among all pictures is a positive
example; its best cosine among the pictures left after all that it may describe are removed is a negative example.
Captions alone would fit only long queries, so half of the weight goes to phrases: consecutive words of a caption. A
phrase may describe every picture that has a caption with all of its words.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Vectors
from crossmodal.relevance.logistic import fit, fit_two
from crossmodal.relevance.rules import (
    Background,
    BesidePhrases,
    Fitted,
    Floats,
    WithCaptions,
    log_phi,
)

NEAREST = 10
"""How many of a query's best pictures are candidates for its match, if captions are used."""
ROUNDS = 3
MISSED = 0.1
"""The share of queries with a match that may be judged to have none."""
CHUNK = 256
"""Queries whose cosines with all documents are in memory at a time."""
STRANGE_PHRASES = 0.9
"""The share of general phrases that is assumed to describe no picture of a collection."""
LEAST = 20
"""The fewest pictures that a rule is fitted to."""
MAX_PICTURES, MAX_CAPTIONS, MAX_PHRASES = 4000, 2000, 800
MAX_BACKGROUND = 256
PHRASE_WORDS = 6
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True)
class Sample:
    """Pictures and all their captions; caption j describes picture `image_of[j]`."""

    images: Vectors  # (n, dim)
    texts: Vectors  # (m, dim)
    captions: Sequence[str]  # m
    image_of: NDArray[np.int64]  # (m,)


def plain_words(text: str) -> list[str]:
    """The words of a text, in lower case and in order.

    >>> plain_words("A dog's well-known ball, red.")
    ['a', "dog's", 'well-known', 'ball', 'red']
    """
    return _WORD.findall(text.lower())


def phrases(captions: Sequence[str], at_most: int = MAX_PHRASES, seed: int = 0) -> dict[str, int]:
    """Distinct phrases of one to six consecutive words of a caption, drawn at random.

    Returns:
        The index of the caption that each phrase was drawn from.
    """
    rng, found = Random(seed), dict[str, int]()
    worded = [(place, words) for place, words in enumerate(map(plain_words, captions)) if words]
    for _ in range(10 * at_most if worded else 0):
        place, words = rng.choice(worded)
        length = rng.randint(1, min(PHRASE_WORDS, len(words)))
        start = rng.randrange(len(words) - length + 1)
        found.setdefault(" ".join(words[start : start + length]), place)
        if len(found) == at_most:
            break
    return found


def may_be_true(queries: Sequence[str], sample: Sample) -> NDArray[np.bool_]:
    """(q, n) whether a caption of the picture has all words of the query; never if the query has no words."""
    having: dict[str, set[int]] = defaultdict(set)
    for place, caption in enumerate(sample.captions):
        for word in plain_words(caption):
            having[word].add(place)
    true = np.zeros((len(queries), len(sample.images)), np.bool_)
    for row, query in enumerate(queries):
        if words := set(plain_words(query)):
            captions = set.intersection(*(having[word] for word in words))
            true[row, sample.image_of[list(captions)]] = True
    return true


def fit_text_to_image(sample: Sample, drawn: Collection[str], vectors: Vectors) -> Fitted | None:
    """The rule for text queries over pictures, None without enough examples.

    Args:
        sample: Pictures with captions.
        drawn: Phrases of these captions, as `phrases` draws them.
        vectors: (len(drawn), dim) unit vectors of the phrases.
    """
    if len(np.unique(sample.image_of)) < LEAST or not drawn:
        return None
    chosen = np.array(Random(0).sample(range(len(sample.captions)), min(MAX_CAPTIONS, len(sample.captions))))
    queries = np.concatenate([vectors, sample.texts[chosen]])
    true = may_be_true([*drawn, *(sample.captions[i] for i in chosen)], sample)
    true[len(drawn) + np.arange(len(chosen)), sample.image_of[chosen]] = True  # for captions without a word, too
    weights = np.concatenate([np.full(len(drawn), 1 / len(drawn)), np.full(len(chosen), 1 / len(chosen))])
    return _fit_with_and_without(queries, sample.images, true, weights)


def fit_with_captions(
    sample: Sample, drawn: Mapping[str, int], vectors: Vectors, without: Fitted
) -> WithCaptions | None:
    """The rule for text queries over pictures with captions, None if too few pictures have several captions.

    The caption that is the query, or that a phrase was drawn from, is left out of the captions of its picture. The
    match of a query is the most relevant of its best pictures, which depends on the rule; the two are found in turns.

    Args:
        sample: Pictures with captions.
        drawn: Phrases of these captions, as `phrases` draws them.
        vectors: (len(drawn), dim) unit vectors of the phrases.
        without: The rule for pictures without captions, of `fit_text_to_image`.

    Source: Andrews, Tsochantaridis, Hofmann 2002 (Support vector machines for multiple-instance learning), mi-SVM's
        alternation, with a logistic regression.
    """
    several = np.bincount(sample.image_of, minlength=len(sample.images)) > 1
    own = np.flatnonzero(several[sample.image_of])
    if several.sum() < LEAST:
        return None
    chosen = np.array(Random(0).sample(own.tolist(), min(MAX_CAPTIONS, len(own))))
    is_kept = np.isin(list(drawn.values()), own)
    kept = [phrase for phrase, keep in zip(drawn, is_kept, strict=True) if keep]
    queries = np.concatenate([vectors[is_kept], sample.texts[chosen]])
    true = may_be_true([*kept, *(sample.captions[i] for i in chosen)], sample)
    true[len(kept) + np.arange(len(chosen)), sample.image_of[chosen]] = True
    own_caption = np.concatenate([[drawn[phrase] for phrase in kept], chosen]).astype(np.int64)
    weights = np.concatenate([np.full(len(kept), 1 / max(1, len(kept))), np.full(len(chosen), 1 / len(chosen))])
    found = queries @ sample.images.T
    near = np.concatenate([
        nearest_captions(queries[i : i + CHUNK], sample, own_caption[i : i + CHUNK])
        for i in range(0, len(queries), CHUNK)
    ])  # fmt: skip
    has_others = ~true.all(axis=1)
    best = np.concatenate([_best(found), _best(np.where(true, -np.inf, found)[has_others])])
    rows = np.concatenate([np.arange(len(queries)), np.flatnonzero(has_others)])
    is_right = np.repeat([True, False], [len(queries), has_others.sum()])
    fitted = _fit_best_of(
        queries[rows], found[rows[:, None], best], near[rows[:, None], best], is_right,
        _balanced(is_right, weights[rows]),
    )  # fmt: skip
    return None if fitted is None else WithCaptions(*fitted, without)


def _best(scores: Vectors) -> NDArray[np.int64]:
    """(q, min(NEAREST, n)) the columns of the highest scores (q, n) of each row, in no stated order."""
    k = min(NEAREST, scores.shape[1])
    return np.argpartition(-scores, k - 1, axis=1)[:, :k]


def nearest_captions(queries: Vectors, sample: Sample, left_out: NDArray[np.int64]) -> Floats:
    """(q, n) each query's cosine with the nearest caption of each picture, NaN for a picture without captions.

    `left_out` (q,) is the caption that is ignored for each query, -1 for none.
    """
    cosines = (queries @ sample.texts.T).astype(np.float64)
    rows = np.flatnonzero(left_out >= 0)
    cosines[rows, left_out[rows]] = -np.inf
    order = np.argsort(sample.image_of, kind="stable")
    pictures, starts = np.unique(sample.image_of[order], return_index=True)
    found = np.full((len(queries), len(sample.images)), np.nan)
    found[:, pictures] = np.maximum.reduceat(cosines[:, order], starts, axis=1)
    return np.where(np.isneginf(found), np.nan, found)


def _balanced(is_right: NDArray[np.bool_], weights: Floats) -> Floats:
    """The weights, scaled so that those of each class sum to one."""
    return weights / np.where(is_right, weights[is_right].sum(), max(float(weights[~is_right].sum()), 1e-9))


def _fit_best_of(
    queries: Vectors, scores: Floats, captions: Floats, is_right: NDArray[np.bool_], weights: Floats
) -> tuple[Fitted, float] | None:
    """The rule, and the scale of the captions' cosines, fitted to the most relevant picture of each query.

    Args:
        queries: (n, dim).
        scores: (n, NEAREST) cosines with the candidates.
        captions: (n, NEAREST) cosines with the candidates' nearest captions; a missing one becomes the minimum.
        is_right: (n,) whether the query has a match among the candidates.
        weights: (n,) of the examples.

    Returns:
        None as `fit`.
    """
    captions = np.where(np.isnan(captions), np.nanmin(captions), captions)
    rows, nothing = np.arange(len(scores)), np.zeros((len(scores), 0), np.float32)
    best = (scores + captions).argmax(axis=1)
    for _ in range(ROUNDS):
        chosen = scores[rows, best], captions[rows, best]
        found = fit_two(nothing, *chosen, is_right, weights)
        if found is None:
            return None
        best = (found[0].scale * scores + found[1] * captions).argmax(axis=1)
    chosen = scores[rows, best], captions[rows, best]
    found = fit_two(queries, *chosen, is_right, weights)
    return (
        None if found is None else (_lenient(*found, queries[is_right], *(part[is_right] for part in chosen)), found[1])
    )


def _lenient(fitted: Fitted, caption_scale: float, queries: Vectors, scores: Floats, captions: Floats) -> Fitted:
    """The rule with its offset raised until at most the share MISSED of the queries with a match is judged without one.

    Not everything that matches a query was removed for its negative example: either of two pictures of a dog on grass
    matches. Negative examples are therefore harder than queries without a match, and the fitted threshold is too high.
    """
    logits = fitted.scale * scores + caption_scale * captions + queries @ fitted.direction + fitted.offset
    return replace(fitted, offset=fitted.offset + max(0.0, -float(np.quantile(logits, MISSED))))


def beside_phrases(images: Vectors, phrases: Vectors, n: int) -> BesidePhrases | None:
    """The rule for text queries over pictures without captions, None without enough pictures or phrases.

    Nine in ten phrases are assumed to describe no picture of the collection. That quantile of the phrases' best
    z-scores is the best z-score of pictures that do not match; the number of independent pictures follows from it.

    Args:
        images: (m, dim) a random sample of the collection's pictures.
        phrases: (p, dim) unit vectors of general phrases.
        n: The number of pictures in the collection.
    """
    if len(images) < LEAST or len(phrases) < LEAST:
        return None
    centred = (phrases - phrases.mean(axis=0)).astype(np.float64)
    covariance = (centred.T @ centred / len(phrases)).astype(np.float32)
    rule = BesidePhrases(phrases.mean(axis=0), covariance, 1.0)
    best = rule.z((phrases @ images.T).astype(np.float64), images).max(axis=1)
    independent = math.log(STRANGE_PHRASES) / log_phi(float(np.quantile(best, STRANGE_PHRASES)))
    return replace(rule, n=max(1.0, independent * n / len(images)))


def fit_image_to_text(sample: Sample) -> Fitted | None:
    """The rule for picture queries over captions, None without enough pictures."""
    pictures = np.unique(sample.image_of)
    if len(pictures) < LEAST:
        return None
    pictures = pictures[:MAX_CAPTIONS]
    queries = sample.images[pictures]
    true = pictures[:, None] == sample.image_of[None, :]
    return _fit_with_and_without(queries, sample.texts, true, np.ones(len(pictures)))


def background(vectors: Vectors, n: int) -> Background | None:
    """The rule for queries without a fitted one, None without enough vectors.

    Args:
        vectors: (m, dim) a random sample of the collection's documents of one modality.
        n: The number of such documents in the collection.
    """
    return Background(vectors[:MAX_BACKGROUND], n) if len(vectors) >= LEAST else None


def _fit_with_and_without(
    queries: Vectors, documents: Vectors, true: NDArray[np.bool_], weights: Floats
) -> Fitted | None:
    """A rule fitted to each query's best cosine with, and without, the documents (n, dim) that it may describe."""
    has_others = ~true.all(axis=1)
    best, without = np.empty(len(queries), np.float32), np.empty(len(queries), np.float32)
    for rows in (slice(start, start + CHUNK) for start in range(0, len(queries), CHUNK)):
        scores = queries[rows] @ documents.T
        best[rows] = scores.max(axis=1)
        scores[true[rows]] = -np.inf
        without[rows] = scores.max(axis=1)
    without = without[has_others]
    is_right = np.repeat([True, False], [len(best), len(without)])
    return fit(
        np.concatenate([queries, queries[has_others]]),
        np.concatenate([best, without]),
        is_right,
        _balanced(is_right, np.concatenate([weights, weights[has_others]])),
    )
