"""The exact index equals brute force."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.core.types import Vectors
from crossmodal.index.dense import DenseIndex


def unit(n: int, dim: int, seed: int) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


@given(st.integers(0, 60), st.integers(2, 24), st.integers(1, 30), st.integers(1, 70), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_search_equals_brute_force(n_queries: int, dim: int, n: int, k: int, seed: int) -> None:
    vectors, queries = unit(n, dim, seed), unit(n_queries, dim, seed + 1)
    keys = np.random.default_rng(seed).choice(10**12, n, replace=False).astype(np.int64)
    index = DenseIndex(dim)
    index.add(keys, vectors)
    scores, found = index.search(queries, k)
    expected = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    by_key = {key: row for row, key in enumerate(keys.tolist())}
    for row in range(n_queries):
        least = min(k, n)
        assert (found[row, least:] == -1).all()
        taken = [by_key[key] for key in found[row, :least].tolist()]
        assert len(set(taken)) == least
        np.testing.assert_allclose(scores[row, :least], expected[row, taken], atol=1e-5)
        np.testing.assert_allclose(scores[row, :least], np.sort(expected[row])[::-1][:least], atol=1e-5)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1000)), max_size=25))
@settings(max_examples=60, deadline=None)
def test_any_sequence_of_adds_keeps_the_last_of_each_key(steps: list[tuple[int, int]]) -> None:
    index, last = DenseIndex(6), {}
    for key, seed in steps:
        vector = unit(1, 6, seed)
        index.add(np.array([key], np.int64), vector)
        last[key] = vector
    assert len(index) == len(last)
    for key, vector in last.items():
        scores, keys = index.search(vector, len(last))
        best = {int(k) for k, s in zip(keys[0], scores[0], strict=True) if s > scores[0, 0] - 1e-5}
        assert key in best
