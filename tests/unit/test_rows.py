"""Vectors row by row, and the exact scores of chosen ones."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from crossmodal.index import rows as module
from crossmodal.index.flat import FlatIndex
from crossmodal.index.kinds import flat_over
from crossmodal.index.rows import FileRows, MemoryRows, best, merged


def matrix(n: int = 50, dim: int = 6) -> NDArray[np.float16]:
    return np.random.default_rng(0).normal(size=(n, dim)).astype(np.float16)


@pytest.mark.parametrize("many", [1, 1000])  # read together, or each by itself
@pytest.mark.parametrize("rows", [[], [49], [0], [3, 4, 5, 9], [40, 2, 17], [0, 49], [7, 7]])
def test_rows_of_a_file_and_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[int], many: int
) -> None:
    monkeypatch.setattr(module, "MANY", many)
    np.save(tmp_path / "a.npy", matrix())
    for source in (FileRows(tmp_path / "a.npy"), MemoryRows(flat_over(matrix()))):
        taken = source.take(np.array(rows, np.int64))
        assert taken.dtype == np.float16
        assert np.array_equal(taken, matrix()[rows])


def test_a_removed_file_is_still_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", matrix())
    source = FileRows(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.zeros((50, 6), np.float16))
    (tmp_path / "b.npy").replace(tmp_path / "a.npy")
    assert np.array_equal(source.take(np.array([5])), matrix()[5:6])


@pytest.mark.parametrize(
    "content", [np.zeros((3, 2), np.float32), np.zeros(3, np.float16), np.zeros((3, 2), np.float16, order="F")]
)
def test_a_file_of_something_else(tmp_path: Path, content: NDArray[np.float32]) -> None:
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(ValueError, match="expected a matrix of float16"):
        FileRows(tmp_path / "a.npy")


@pytest.mark.parametrize("block", [4, 1000])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_best_equals_brute_force(monkeypatch: pytest.MonkeyPatch, block: int, dtype: type) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    vectors = matrix().astype(dtype)
    queries, rows = matrix(3).astype(np.float32), np.arange(1, 50, 2)
    index = flat_over(vectors)
    scores, found = best(queries, index if isinstance(index, FlatIndex) else MemoryRows(index), rows, 7)
    expected = queries @ vectors[rows].astype(np.float32).T
    assert found.tolist() == rows[np.argsort(-expected, axis=1)[:, :7]].tolist()
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :7], atol=1e-5)


@pytest.mark.parametrize("n", [0, 2])
def test_fewer_rows_than_asked_for(n: int) -> None:
    scores, found = best(matrix(2).astype(np.float32), MemoryRows(flat_over(matrix())), np.arange(n), 4)
    assert (found[:, :n] >= 0).all()
    assert (found[:, n:] == -1).all()
    assert np.isneginf(scores[:, n:]).all()
    assert np.isfinite(scores[:, :n]).all()


def test_two_answers_are_merged() -> None:
    one = np.array([[0.9, 0.5, -np.inf]], np.float32), np.array([[1, 2, -1]])
    other = np.array([[0.7, -np.inf]], np.float32), np.array([[3, -1]])
    scores, ids = merged(*one, *other)
    assert ids.tolist() == [[1, 3, 2]]
    assert scores.tolist() == [pytest.approx([0.9, 0.7, 0.5])]
