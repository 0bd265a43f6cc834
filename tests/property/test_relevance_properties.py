"""Relevance lies in [0, 1] and keeps the order of a query's scores, whatever the rule."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crossmodal.relevance.rules import Background, Fitted, Rule

DIM = 4
NUMBERS = st.floats(-3, 3, width=32)
VECTOR = arrays(np.float32, DIM, elements=NUMBERS)
RULES = st.one_of(
    st.builds(Fitted, st.floats(1e-3, 1e3), VECTOR, st.floats(-100, 100)),
    st.builds(
        Background,
        arrays(np.float32, st.tuples(st.integers(1, 6), st.just(DIM)), elements=NUMBERS),
        st.integers(1, 10**7),
    ),
)


@given(RULES, VECTOR, arrays(np.float64, st.integers(0, 20), elements=st.floats(-1, 1)))
def test_in_bounds_and_rising_with_the_score(rule: Rule, query: np.ndarray, scores: np.ndarray) -> None:
    relevance = rule.of(query, np.sort(scores))
    assert relevance.shape == scores.shape
    assert ((relevance >= 0) & (relevance <= 1)).all()
    assert (np.diff(relevance) >= -1e-12).all()


@given(RULES, VECTOR, arrays(np.float64, st.integers(1, 8), elements=st.floats(-1, 1)))
def test_a_score_has_its_relevance_whatever_stands_beside_it(rule: Rule, query: np.ndarray, scores: np.ndarray) -> None:
    together = rule.of(query, scores)
    alone = [rule.of(query, scores[i : i + 1])[0] for i in range(len(scores))]
    np.testing.assert_allclose(together, alone)
