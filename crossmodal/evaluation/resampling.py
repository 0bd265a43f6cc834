"""Confidence intervals by the bootstrap, and a paired test by randomization.

The unit of both is a cluster of queries: the five captions of an image are not independent of each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.evaluation.outcomes import Outcome

SAMPLES = 2000
CONFIDENCE = 0.95
PERMUTATIONS = 9999
SEED = 0
CHUNK = 1 << 21
"""Random numbers drawn at once; 16 MB."""


class Interval(NamedTuple):
    """A value and its confidence interval."""

    value: float
    low: float
    high: float

    def to_dict(self, digits: int = 4) -> dict[str, float]:
        """`{"value", "low", "high"}`, rounded."""
        return {name: round(number, digits) for name, number in self._asdict().items()}


class Difference(NamedTuple):
    """A mean difference, its confidence interval, and the p-value of no difference."""

    value: float
    low: float
    high: float
    p: float


def intervals(outcomes: Mapping[str, Outcome], samples: int = SAMPLES, seed: int = SEED) -> dict[str, Interval]:
    """The percentile bootstrap interval of each measure at `CONFIDENCE`.

    Args:
        outcomes: Measures over the same clusters. A cluster is drawn with all its queries.
        samples: Number of bootstrap samples.
        seed: The seed; equal arguments give equal intervals.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", sections 13.3 and 8.4; Sakai 2006,
        "Evaluating evaluation metrics based on the bootstrap", SIGIR, for retrieval; Field and Welsh 2007,
        "Bootstrapping clustered data", J. R. Statist. Soc. B 69(3), for drawing clusters.

    Example:
        >>> wins = Outcome.of([1, 0, 1, 1], np.arange(4))
        >>> intervals({"R@1": wins})["R@1"]
        Interval(value=0.75, low=0.25, high=1.0)
    """
    if not outcomes:
        return {}
    totals = np.stack([outcome.totals for outcome in outcomes.values()], axis=1)
    weights = np.stack([outcome.weights for outcome in outcomes.values()], axis=1)
    means = np.concatenate([(n @ totals) / (n @ weights) for n in _drawn(len(totals), samples, seed)])
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, 100 - tail], axis=0)
    return {
        name: Interval(outcome.value, float(low[column]), float(high[column]))
        for column, (name, outcome) in enumerate(outcomes.items())
    }


def _drawn(n_clusters: int, samples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each cluster is in each bootstrap sample, (some samples, n_clusters), until all samples are drawn."""
    rng, size = np.random.default_rng(seed), max(1, CHUNK // n_clusters)
    for start in range(0, samples, size):
        n = min(size, samples - start)
        yield rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=n).astype(np.float64)


def differences(
    first: Mapping[str, Outcome], second: Mapping[str, Outcome], samples: int = SAMPLES, seed: int = SEED
) -> dict[str, Difference]:
    """How much better `second` is than `first` on each measure that both have.

    The interval is that of `intervals` for the differences of the same queries; the p-value is `p_value`'s.
    """
    paired = {
        name: Outcome(second[name].totals - first[name].totals, first[name].weights) for name in first if name in second
    }
    found = intervals(paired, samples, seed)
    return {name: Difference(*found[name], p_value(outcome.totals, seed=seed)) for name, outcome in paired.items()}


def p_value(differences: NDArray[np.float64], permutations: int = PERMUTATIONS, seed: int = SEED) -> float:
    """The two-sided p-value of a paired randomization test (Fisher-Pitman).

    The probability of a mean difference at least as far from zero, if the two models were exchangeable: each cluster's
    difference keeps its size and gets a random sign. It is estimated as (1 + b) / (1 + permutations), where b is the
    number of random assignments at least as extreme, so it is never zero.

    Args:
        differences: (n_clusters,) sums of the differences of a cluster's queries.
        permutations: Number of random assignments of signs.
        seed: The seed.

    Source: Fisher 1935, "The Design of Experiments", section 21; Smucker, Allan and Carterette 2007, "A comparison of
        statistical significance tests for information retrieval evaluation", CIKM; Phipson and Smyth 2010, "Permutation
        p-values should never be zero", for the estimate.

    Example:
        >>> p_value(np.zeros(5))
        1.0
        >>> round(p_value(np.ones(5)), 2)  # 2 of the 32 assignments are as extreme
        0.06
    """
    differing = differences[differences != 0]
    if not len(differing):
        return 1.0
    rng, size = np.random.default_rng(seed), max(1, CHUNK // len(differing))
    observed = abs(differing.sum()) - 1e-9 * np.abs(differing).sum()  # sums of equal numbers differ in their last bits
    n_extreme = 0
    for start in range(0, permutations, size):
        signs = rng.integers(0, 2, (min(size, permutations - start), len(differing)), np.int8) * 2.0 - 1
        n_extreme += int(np.count_nonzero(np.abs(signs @ differing) >= observed))
    return (1 + n_extreme) / (1 + permutations)


def measured(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, float]]:
    """`{name: {"value", "low", "high"}}` of `intervals`, JSON-ready."""
    return {name: interval.to_dict() for name, interval in intervals(outcomes).items()}


def each_measured(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, float]]:
    """As `measured`, for measures over different clusters."""
    return {name: values for one in outcomes for name, values in measured({one: outcomes[one]}).items()}
