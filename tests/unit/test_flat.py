"""The flat index in float32 against a plain sort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from crossmodal.index.flat import FEW_QUERIES, FlatIndex

DIM = 24


def rows(n: int, seed: int = 0) -> NDArray[np.float32]:
    made = np.random.default_rng(seed).standard_normal((n, DIM), np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.mark.parametrize("n", [1, 9, 10, 11, 500])
@pytest.mark.parametrize("n_queries", [1, 3, FEW_QUERIES - 1, FEW_QUERIES])
def test_it_finds_what_sorting_finds(n: int, n_queries: int) -> None:
    queries = rows(n_queries, seed=1)
    scores, found = FlatIndex(rows(n)).search(queries, 10)
    assert scores.shape == found.shape == (n_queries, 10)
    products = queries @ rows(n).T
    expected = np.argsort(-products, axis=1)[:, :10]
    n_found = expected.shape[1]
    assert np.array_equal(found[:, :n_found], expected)
    assert np.allclose(scores[:, :n_found], np.take_along_axis(products, expected, 1), atol=1e-6)
    assert (found[:, n_found:] == -1).all()
    assert (np.diff(scores, axis=1) <= 0).all()


def test_an_empty_index_finds_nothing() -> None:
    for n_queries in (2, FEW_QUERIES):
        _, found = FlatIndex(rows(0)).search(rows(n_queries, seed=1), 3)
        assert (found == -1).all()


def test_a_score_does_not_depend_on_what_else_is_there() -> None:
    query, vectors = rows(1, seed=1), rows(300)
    scores, found = FlatIndex(vectors).search(query, 300)
    for row, score in zip(found[0].tolist()[::37], scores[0].tolist()[::37], strict=True):
        assert FlatIndex(vectors[row : row + 1]).search(query, 1)[0][0, 0] == score


def test_adding_leaves_the_rows_given_and_a_copy_alone() -> None:
    first = rows(5)
    index = FlatIndex(first)
    copy = index.copy()
    for n in (1, 7, 400):
        index.add(rows(n, seed=n))
    assert (index.ntotal, copy.ntotal, len(first)) == (413, 5, 5)
    assert np.array_equal(index.take(np.array([0, 4, 5, 412])), np.stack([
        first[0], first[4], rows(1, seed=1)[0], rows(400, seed=400)[-1]
    ]))  # fmt: skip
    assert np.array_equal(copy.rows, first)


def test_a_file_is_mapped_and_aligned(tmp_path: Path) -> None:
    FlatIndex(rows(50)).write(tmp_path / "a.npy")
    index = FlatIndex.read(tmp_path / "a.npy")
    assert np.array_equal(index.rows, rows(50))
    assert index.rows.ctypes.data % 64 == 0
    content = (tmp_path / "a.npy").read_bytes()
    index.add(rows(1, seed=1))
    assert index.ntotal == 51
    assert (tmp_path / "a.npy").read_bytes() == content


def test_a_file_of_something_else(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", rows(5).astype(np.float16))
    with pytest.raises(ValueError, match=r"expected a matrix of float32, found float16 \(5, 24\)"):
        FlatIndex.read(tmp_path / "a.npy")
