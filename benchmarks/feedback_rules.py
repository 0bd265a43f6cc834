"""Rules that were tried for queries with examples, for benchmarks/feedback.py and the table in docs/adr."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crossmodal.core.types import Vectors
from crossmodal.search.examples import LIKED, UNLIKED, refined

Rule = Callable[[Vectors, Vectors | None, list[int], list[int]], np.ndarray]
"""From pictures (n, dim), the vector of the words, and the places of liked and unliked pictures to scores (n,)."""


def product(pictures: Vectors, words: Vectors | None, liked: list[int], unliked: list[int]) -> np.ndarray:
    """The rule of the program."""
    if words is None and not liked:
        return np.zeros(len(pictures))
    return pictures @ refined(words, list(pictures[liked]), list(pictures[unliked]))


def rocchio(beta: float, gamma: float) -> Rule:
    """Words plus `beta` times the mean liked minus `gamma` times the mean unliked picture."""

    def scores(pictures: Vectors, words: Vectors | None, liked: list[int], unliked: list[int]) -> np.ndarray:
        query = np.zeros(pictures.shape[1]) if words is None else words.astype(float)
        query = query + (beta * pictures[liked].mean(axis=0) if liked else 0)
        return pictures @ (query - (gamma * pictures[unliked].mean(axis=0) if unliked else 0))

    return scores


def nearest_example(gamma: float, *, positives: bool) -> Rule:
    """Minus `gamma` times the cosine of the nearest unliked picture; with `positives`, plus that of a liked one."""

    def scores(pictures: Vectors, words: Vectors | None, liked: list[int], unliked: list[int]) -> np.ndarray:
        if positives and liked:
            found = (pictures @ pictures[liked].T).max(axis=1) + (0 if words is None else pictures @ words)
        else:
            found = rocchio(LIKED, 0)(pictures, words, liked, [])
        return found - (gamma * (pictures @ pictures[unliked].T).max(axis=1) if unliked else 0)

    return scores


def whitened(weight: float, gamma: float, shrinkage: float) -> Rule:
    """Rocchio with pictures decorrelated by the covariance of the collection.

    Source: Hariharan, Malik and Ramanan, Discriminative Decorrelation for Clustering and Classification, 2012.
    """
    known: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def scores(pictures: Vectors, words: Vectors | None, liked: list[int], unliked: list[int]) -> np.ndarray:
        if id(pictures) not in known:
            covariance = np.cov(pictures.T)
            covariance /= np.trace(covariance) / len(covariance)
            inverse = np.linalg.inv(covariance + shrinkage * np.eye(len(covariance))) * (1 + shrinkage)
            known[id(pictures)] = pictures.mean(axis=0), inverse
        mean, inverse = known[id(pictures)]
        query = np.zeros(pictures.shape[1]) if words is None else (1 - weight) / weight * words
        query = query + (inverse @ (pictures[liked].mean(axis=0) - mean) if liked else 0)
        return pictures @ (query - (gamma * inverse @ (pictures[unliked].mean(axis=0) - mean) if unliked else 0))

    return scores


def logistic(strength: float, steps: int = 100) -> Rule:
    """A logistic regression on the examples, with Rocchio without unliked pictures as its prior."""

    def scores(pictures: Vectors, words: Vectors | None, liked: list[int], unliked: list[int]) -> np.ndarray:
        prior = (0 if words is None else words) + (LIKED * pictures[liked].mean(axis=0) if liked else 0)
        prior = 10 * prior / np.linalg.norm(prior)
        if not (liked and unliked):
            return rocchio(LIKED, UNLIKED / 2)(pictures, words, liked, unliked)
        examples, sign = pictures[liked + unliked], np.repeat([1.0, -1.0], [len(liked), len(unliked)])
        share = np.where(sign > 0, 1 / len(liked), 1 / len(unliked))
        query, offset = prior.copy(), -float((examples @ prior).mean())
        for _ in range(steps):
            slope = -share * sign / (1 + np.exp(sign * (examples @ query + offset)))
            query = query - 0.3 * (strength * examples.T @ slope + 0.1 * (query - prior))
            offset -= 0.3 * strength * slope.sum()
        return pictures @ query

    return scores


RULES: dict[str, Rule] = {
    "Rocchio 1, 0.8, 0.5 (chosen)": product,
    "Rocchio 1, 0.8, 0 (liked only)": rocchio(0.8, 0),
    "Rocchio 1, 0.4, 0.25": rocchio(0.4, 0.25),
    "Rocchio 1, 0.8, 0.25": rocchio(0.8, 0.25),
    "Rocchio 1, 0.8, 0.8": rocchio(0.8, 0.8),
    "Rocchio 1, 1.6, 1": rocchio(1.6, 1.0),
    "minus 0.5 x nearest unliked": nearest_example(0.5, positives=False),
    "nearest liked - 0.5 x nearest unliked": nearest_example(0.5, positives=True),
    "whitened, shrinkage 1": whitened(0.5, 0.5, 1.0),
    "whitened, shrinkage 3": whitened(0.7, 0.25, 3.0),
    "logistic regression": logistic(3.0),
}
GRID = {(beta, gamma): rocchio(beta, gamma) for beta in (0.4, 0.6, 0.8, 1.0) for gamma in (0.25, 0.375, 0.5, 0.625)}
"""The weights among which --tune chooses."""
