"""Intervals cover the true value as often as they say, and p-values are uniform without a difference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.evaluation.outcomes import Outcome, Ranking, average_precisions
from crossmodal.evaluation.resampling import intervals, p_value


def test_intervals_cover_the_truth_in_19_of_20_cases() -> None:
    """Pictures are easy or hard, and their captions follow them: intervals of single captions would be too narrow."""
    rng = np.random.default_rng(0)
    covered, covered_alone, n_cases, n_pictures = 0, 0, 300, 80
    cluster = np.repeat(np.arange(n_pictures), 5)
    for seed in range(n_cases):
        found = rng.random(5 * n_pictures) < np.repeat(rng.beta(0.6, 0.4, n_pictures), 5)  # of mean 0.6
        together = intervals({"r": Outcome.of(found, cluster)}, samples=400, seed=seed)["r"]
        alone = intervals({"r": Outcome.of(found, np.arange(len(found)))}, samples=400, seed=seed)["r"]
        covered += together.low <= 0.6 <= together.high
        covered_alone += alone.low <= 0.6 <= alone.high
    assert 0.90 <= covered / n_cases <= 0.98
    assert covered_alone / n_cases < 0.85


def test_p_values_are_uniform_without_a_difference() -> None:
    rng = np.random.default_rng(0)
    p_values = np.array([p_value(rng.normal(size=30), 399, seed) for seed in range(800)])
    for level in (0.05, 0.25, 0.5, 0.75):
        assert np.mean(p_values <= level) == pytest.approx(level, abs=3 * (level * (1 - level) / 800) ** 0.5)


def test_a_true_difference_is_found_more_often_the_larger_it_is() -> None:
    rng = np.random.default_rng(0)
    power = [np.mean([p_value(rng.normal(shift, 1, 40), 199) < 0.05 for _ in range(60)]) for shift in (0, 0.3, 0.9)]
    assert power[0] < 0.2 < power[1] < power[2]
    assert power[2] > 0.95


@settings(max_examples=30)
@given(st.lists(st.floats(-10, 10, allow_subnormal=False), min_size=1, max_size=40), st.floats(0.01, 100))
def test_p_depends_on_no_scale_and_no_side(differences: list[float], scale: float) -> None:
    of_one = np.array(differences)
    p = p_value(of_one, 199)
    assert 1 / 200 <= p <= 1
    assert p_value(-of_one, 199) == p
    assert p_value(of_one * scale, 199) == pytest.approx(p, abs=0.02)


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_average_precision_does_not_depend_on_the_order_of_candidates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 20)), int(rng.integers(1, 60))
    queries, candidates = rng.integers(-2, 3, (n, 3)).astype(np.float32), rng.integers(-2, 3, (m, 3)).astype(np.float32)
    groups, order = rng.integers(0, 5, m), rng.permutation(m)
    given_order = average_precisions(Ranking("t2i", queries, candidates, np.arange(n) % 5, groups))
    other_order = average_precisions(Ranking("t2i", queries, candidates[order], np.arange(n) % 5, groups[order]))
    assert given_order == pytest.approx(other_order)
