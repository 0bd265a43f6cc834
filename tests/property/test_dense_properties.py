"""The flat index equals brute force, whatever has been done to it before."""

import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.core.types import Keys, Vectors
from crossmodal.index import segment as part
from crossmodal.index.dense import DenseIndex
from crossmodal.index.kinds import IndexKind

DIM = 6
STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 12)),
    st.tuples(st.just("remove"), st.integers(0, 2**32)),
    st.tuples(st.sampled_from(["freeze", "extend", "reopen"]), st.just(0)),
)


def unit(n: int, dim: int, seed: int) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def check(index: DenseIndex, there: dict[int, Vectors], queries: Vectors, k: int, allowed: Keys | None) -> None:
    """The answer is that of brute force over what should be there."""
    may = [key for key in there if allowed is None or key in allowed]
    expected = queries @ np.array([there[key] for key in may]).reshape(len(may), -1).T if may else None
    scores, found = index.search(queries, k, allowed)
    least = min(k, len(may))
    assert scores.shape == found.shape == (len(queries), k)
    assert (found[:, least:] == -1).all()
    assert np.isneginf(scores[:, least:]).all()
    for row in range(len(queries) if expected is not None else 0):
        taken = [may.index(key) for key in found[row, :least].tolist()]
        assert len(set(taken)) == least
        np.testing.assert_allclose(scores[row, :least], expected[row, taken], atol=1e-5)
        np.testing.assert_allclose(scores[row, :least], np.sort(expected[row])[::-1][:least], atol=1e-5)


@given(st.integers(0, 60), st.integers(2, 24), st.integers(1, 30), st.integers(1, 70), st.integers(0, 10_000))
@settings(max_examples=40)
def test_search_equals_brute_force(n_queries: int, dim: int, n: int, k: int, seed: int) -> None:
    vectors, queries = unit(n, dim, seed), unit(n_queries, dim, seed + 1)
    keys = np.sort(np.random.default_rng(seed).choice(10**12, n, replace=False).astype(np.int64))
    index = DenseIndex(dim)
    index.add(keys, vectors)
    there = dict(zip(keys.tolist(), vectors, strict=True))
    for one in (index, index.frozen(IndexKind())):
        check(one, there, queries, k, None)


@given(
    st.lists(STEPS, max_size=12),
    st.integers(1, 5),
    st.integers(1, 15),
    st.sampled_from([None, 0.0, 0.1, 0.5, 1.0]),
    st.sampled_from([0, 1000]),
    st.integers(0, 10_000),
)
@settings(max_examples=100)
def test_any_history_ends_as_brute_force(
    steps: list[tuple[str, int]], n_queries: int, k: int, share: float | None, few: int, seed: int
) -> None:
    """`few` is how many are compared one by one rather than fetched by the index and sifted: both must do."""
    rng = np.random.default_rng(seed)
    index, there, next_key = DenseIndex(DIM), {}, 3
    with tempfile.TemporaryDirectory() as folder, patch.object(part, "FEW", few), patch.object(part, "GATHERED", few):
        for step, number in steps:
            if step == "add":
                keys = next_key + np.cumsum(rng.integers(1, 9, number), dtype=np.int64)
                vectors = unit(number, DIM, int(rng.integers(2**32)))
                index.add(keys, vectors)
                there |= dict(zip(keys.tolist(), vectors, strict=True))
                next_key = int(keys[-1]) if number else next_key
            elif step == "remove":
                gone = np.random.default_rng(number).integers(0, next_key + 5, 6)
                assert index.remove(gone) == len([there.pop(key) for key in set(gone.tolist()) if key in there])
            elif step == "freeze":
                index = index.frozen(IndexKind())
                assert index.n_dead == index.n_tail == 0
            else:
                index = index.extended()
                assert index.n_tail == 0
                if step == "reopen":
                    index.save(Path(folder), "a")
                    index = DenseIndex.load(Path(folder), "a", DIM)
            assert len(index) == len(there)
        allowed = None
        if share is not None:
            allowed = rng.permutation(np.arange(next_key + 3))[: int(share * (next_key + 3))]
        check(index, there, unit(n_queries, DIM, seed + 1), k, allowed)


@given(st.integers(1, 80), st.integers(0, 80), st.integers(0, 10_000))
@settings(max_examples=40)
def test_what_is_allowed_decides_in_any_order(n: int, n_allowed: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    index, keys = DenseIndex(DIM), np.arange(n, dtype=np.int64)
    index.add(keys, unit(n, DIM, seed))
    allowed, query = rng.integers(-2, n + 2, n_allowed), unit(1, DIM, seed + 1)
    scores, found = index.search(query, 5, allowed)
    shuffled_scores, shuffled = index.search(query, 5, rng.permutation(allowed))
    assert found.tolist() == shuffled.tolist()
    assert scores.tolist() == shuffled_scores.tolist()
    assert set(found[0].tolist()) <= set(allowed[(allowed >= 0) & (allowed < n)].tolist()) | {-1}
