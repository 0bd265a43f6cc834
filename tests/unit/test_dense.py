"""The exact index: search, replacement, files."""

from pathlib import Path

import numpy as np
import pytest

from crossmodal.core.errors import StateError
from crossmodal.core.types import Keys, Vectors
from crossmodal.index.dense import DenseIndex


def unit(n: int, dim: int = 8, seed: int = 0) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def keys(*values: int) -> Keys:
    return np.array(values, np.int64)


def filled(n: int, dim: int = 8) -> DenseIndex:
    index = DenseIndex(dim)
    index.add(np.arange(n, dtype=np.int64) * 10 + 7, unit(n, dim))
    return index


def test_a_vector_finds_itself_first() -> None:
    index = filled(20)
    scores, found = index.search(unit(20), 3)
    assert found[:, 0].tolist() == [i * 10 + 7 for i in range(20)]
    assert scores[:, 0] == pytest.approx(1, abs=1e-5)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert scores.dtype == np.float32
    assert found.dtype == np.int64


def test_fewer_vectors_than_asked_for() -> None:
    scores, found = filled(2).search(unit(3), 5)
    assert (found[:, 2:] == -1).all()
    assert np.isneginf(scores[:, 2:]).all()
    assert (found[:, :2] >= 0).all()
    assert np.isfinite(scores[:, :2]).all()


def test_an_empty_index() -> None:
    index = DenseIndex(8)
    scores, found = index.search(unit(2), 3)
    assert len(index) == 0
    assert found.tolist() == [[-1] * 3] * 2
    assert np.isneginf(scores).all()


def test_no_queries_and_nothing_to_add() -> None:
    index = filled(3)
    index.add(keys(), np.empty((0, 8), np.float32))
    scores, found = index.search(np.empty((0, 8), np.float32), 2)
    assert len(index) == 3
    assert scores.shape == found.shape == (0, 2)


def test_a_key_that_is_there_is_replaced() -> None:
    index, other = filled(5), unit(1, seed=9)
    index.add(keys(27), other)
    assert len(index) == 5
    scores, found = index.search(other, 5)
    assert found[0, 0] == 27
    assert scores[0, 0] == pytest.approx(1, abs=1e-5)
    assert sorted(found[0].tolist()) == [7, 17, 27, 37, 47]


def test_a_key_twice_in_one_call_is_there_once() -> None:
    index, vectors = DenseIndex(8), unit(2)
    index.add(keys(1, 1), vectors)
    assert len(index) == 1
    assert index.search(vectors[1:], 1)[0][0, 0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("factor", [0.0, 0.99, 1.01, 2.0, float("nan"), float("inf")])
def test_vectors_of_another_length_are_refused(factor: float) -> None:
    index, vectors = DenseIndex(8), unit(3)
    vectors[1] = factor
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="length 1"):
        index.add(keys(1, 2, 3), vectors)
    assert len(index) == 0


@pytest.mark.parametrize("shape", [(2, 8), (3, 7), (24,)])
def test_vectors_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(3, 8\)"):
        DenseIndex(8).add(keys(1, 2, 3), np.ones(shape, np.float32))


def test_strided_arrays_are_taken() -> None:
    wide = np.zeros((4, 16), np.float32)
    wide[:, ::2] = unit(4)
    index = DenseIndex(8)
    index.add(np.arange(8, dtype=np.int64)[::2], wide[:, ::2])
    assert index.search(wide[:, ::2], 1)[1][:, 0].tolist() == [0, 2, 4, 6]


def test_a_large_batch_of_queries_equals_single_ones() -> None:
    """FAISS takes another way for many queries at once."""
    index, queries = filled(200), unit(64, seed=3)
    scores, found = index.search(queries, 5)
    for row in range(64):
        one_scores, one_found = index.search(queries[row : row + 1], 5)
        assert one_found[0].tolist() == found[row].tolist()
        assert one_scores[0] == pytest.approx(scores[row], abs=1e-5)


@pytest.mark.parametrize("n", [0, 50])
def test_save_and_load(tmp_path: Path, n: int) -> None:
    index, path = filled(n), tmp_path / "a.faiss"
    index.save(path)
    loaded = DenseIndex.load(path)
    assert (len(loaded), loaded.dim) == (n, 8)
    for one, other in zip(index.search(unit(4, seed=5), 3), loaded.search(unit(4, seed=5), 3), strict=True):
        assert np.array_equal(one, other)
    assert [p.name for p in tmp_path.iterdir()] == ["a.faiss"]


def test_a_loaded_index_can_be_added_to(tmp_path: Path) -> None:
    filled(5).save(tmp_path / "a.faiss")
    loaded = DenseIndex.load(tmp_path / "a.faiss")
    loaded.add(keys(7, 99), unit(2, seed=4))
    assert len(loaded) == 6
    assert loaded.search(unit(2, seed=4), 1)[1][:, 0].tolist() == [7, 99]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.faiss"
    filled(50).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(StateError, match=r"a\.faiss is damaged"):
        DenseIndex.load(path)


def test_a_file_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.faiss").write_bytes(b"no index at all, but some text")
    with pytest.raises(StateError):
        DenseIndex.load(tmp_path / "a.faiss")
    with pytest.raises(StateError):
        DenseIndex.load(tmp_path / "missing.faiss")
