"""Logistic regressions of "is a match" on a query's cosines and its vector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Vectors
from crossmodal.relevance.rules import Fitted, Floats, logistic

LEAST_SCALE = 1e-6
"""The scale of a predictor that must be positive and does not improve the fit."""
PENALTY = 2e-4
"""The ridge penalty on the squared length of `Fitted.direction`, for queries of mean square length 1 and weights that
sum to 1. On scenes, a factor of five either way changes the AUROC by at most 0.02."""
STEPS, CLOSE_ENOUGH = 50, 1e-6


def fit(queries: Vectors, scores: Vectors, is_right: NDArray[np.bool_], weights: Floats) -> Fitted | None:
    """A logistic regression of `is_right` on the score and the query, by Newton's method.

    Args:
        queries: (n, dim).
        scores: (n,) cosine of each query's best match.
        is_right: (n,) whether that match is right.
        weights: (n,) of the examples.

    Returns:
        None if there are not both right and wrong matches, or if right ones do not score higher.

    Source: Hastie, Tibshirani, Friedman 2009 (The Elements of Statistical Learning), section 4.4.1, with a ridge
        penalty on the coefficients of the query.
    """
    found = _fitted(queries, scores[:, None].astype(np.float64), is_right, weights)
    return None if found is None or found[1][0] <= 0 else found[0]


def fit_two(
    queries: Vectors, scores: Floats, captions: Floats, is_right: NDArray[np.bool_], weights: Floats
) -> tuple[Fitted, float] | None:
    """As `fit`, with the nearest caption's cosine (n,) as a second predictor: the rule, and that predictor's scale.

    The scale is positive. If the score does not improve on the captions, the rule's own scale is `LEAST_SCALE`.
    """
    found = _fitted(queries, np.column_stack([scores, captions]), is_right, weights)
    if found is None or found[1][1] <= 0:
        return None
    if found[1][0] > 0:
        return found[0], float(found[1][1])
    alone = _fitted(queries, captions[:, None], is_right, weights)
    if alone is None or alone[1][0] <= 0:
        return None
    return replace(alone[0], scale=LEAST_SCALE), float(alone[1][0])


def _fitted(
    queries: Vectors, values: Floats, is_right: NDArray[np.bool_], weights: Floats
) -> tuple[Fitted, Floats] | None:
    """A logistic regression on predictors (n, v) and the query: the rule of the first, and the scales (v,) of all."""
    if is_right.all() or not is_right.any():
        return None
    n_values = values.shape[1]
    mean, value_means = queries.mean(axis=0, dtype=np.float64), values.mean(axis=0, dtype=np.float64)
    centred = queries - mean
    length = max(float(np.sqrt((centred**2).sum(axis=1).mean())), 1e-9)
    spreads = np.maximum(values.std(axis=0, dtype=np.float64), 1e-9)
    features = np.column_stack([(values - value_means) / spreads, np.ones(len(values)), centred / length])
    penalty = np.full(features.shape[1], PENALTY)
    penalty[: n_values + 1] = 1e-6
    found = _minimised(features, is_right.astype(np.float64), weights / weights.sum(), penalty)
    scales, direction = found[:n_values] / spreads, found[n_values + 1 :] / length
    offset = found[n_values] - scales @ value_means - direction @ mean
    return Fitted(float(scales[0]), direction.astype(np.float32), float(offset)), scales


def _minimised(features: Floats, is_right: Floats, weights: Floats, penalty: Floats) -> Floats:
    """The coefficients (features,) with the least weighted, penalised log-loss; a step that raises it is halved."""

    def loss(beta: Floats) -> float:
        logits = features @ beta
        return float(weights @ (np.logaddexp(0, logits) - is_right * logits) + (penalty * beta**2).sum() / 2)

    beta = np.zeros(features.shape[1])
    now = loss(beta)
    for _ in range(STEPS):
        chance = logistic(features @ beta)
        gradient = features.T @ (weights * (chance - is_right)) + penalty * beta
        scaled = features * np.sqrt(weights * chance * (1 - chance))[:, None]
        curvature = scaled.T @ scaled  # NumPy computes half of a product with itself
        curvature[np.diag_indices_from(curvature)] += penalty + 1e-12
        step = np.linalg.solve(curvature, gradient)
        while (after := loss(beta - step)) > now and np.abs(step).max() > CLOSE_ENOUGH:
            step = step / 2
        beta, now = beta - step, after
        if np.abs(step).max() <= CLOSE_ENOUGH:
            break
    return beta
