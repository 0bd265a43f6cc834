"""The vector index: two parts, removal, filters, files."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from crossmodal.core.errors import StateError
from crossmodal.core.types import Keys, Vectors
from crossmodal.index import segment as part
from crossmodal.index.dense import DenseIndex
from crossmodal.index.kinds import ALL_KINDS, LEAST_TO_TRAIN, IndexKind
from crossmodal.index.rows import Scores

N, DIM, K = 2000, 16, 10
FLAT, HNSW, IVF_PQ = ALL_KINDS
SCORE_TOLERANCE = 5e-4  # of float16 in 16 dimensions

each_kind = pytest.mark.parametrize("kind", ALL_KINDS, ids=str)


def unit(n: int, dim: int = 8, seed: int = 0) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@cache
def clustered(n: int, seed: int = 0) -> Vectors:
    """Unit vectors round 25 centres, row by row; `seed` 0 are those of `all_keys`."""
    rng = np.random.default_rng(seed)
    rows = np.random.default_rng(99).normal(size=(25, DIM))[np.arange(n) % 25] + 0.5 * rng.normal(size=(n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def all_keys(n: int = N) -> Keys:
    return np.arange(n, dtype=np.int64) * 3 + 5


def keys(*values: int) -> Keys:
    return np.array(values, np.int64)


def filled(n: int, dim: int = 8) -> DenseIndex:
    index = DenseIndex(dim)
    index.add(np.arange(n, dtype=np.int64) * 10 + 7, unit(n, dim))
    return index


@cache
def built(kind: IndexKind) -> DenseIndex:
    """N vectors, frozen. Tests that change an index make their own with `opened`."""
    index = DenseIndex(DIM)
    index.add(all_keys(), clustered(N))
    return index.frozen(kind)


@cache
def fewer() -> DenseIndex:
    index = DenseIndex(DIM)
    index.add(all_keys(1000), clustered(N)[:1000])
    return index.frozen(IVF_PQ)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind in one folder, each under its name."""
    folder = tmp_path_factory.mktemp("indexes")
    for kind in ALL_KINDS:
        built(kind).save(folder, str(kind))
    return folder


def nearest(queries: Vectors, k: int, allowed: Keys) -> tuple[Scores, Keys]:
    """Brute force over those of `all_keys`."""
    scores = queries @ clustered(N)[(allowed - 5) // 3].T
    order = np.argsort(-scores, axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), allowed[order]


def recall(expected: Keys, found: Keys) -> float:
    return float(np.mean([np.isin(row, others).mean() for row, others in zip(expected, found, strict=True)]))


def check(kind: IndexKind, queries: Vectors, answer: tuple[Scores, Keys], expected: tuple[Scores, Keys]) -> None:
    """Nearly all of the true best of `all_keys` are found, with their cosines, the highest first."""
    scores, found = answer
    assert recall(expected[1], found) >= (1 if kind == FLAT else 0.95)
    assert (np.diff(scores, axis=1) <= 0).all()
    true = (clustered(N)[(found - 5) // 3] @ queries[:, :, None])[:, :, 0]
    np.testing.assert_allclose(scores, true, atol=1e-5 if str(kind) in ("flat", "hnsw-fp32") else SCORE_TOLERANCE)


# -- adding


def test_a_vector_finds_itself_first() -> None:
    scores, found = filled(20).search(unit(20), 3)
    assert found[:, 0].tolist() == [i * 10 + 7 for i in range(20)]
    assert scores[:, 0] == pytest.approx(1, abs=1e-5)
    assert scores.dtype == np.float32
    assert found.dtype == np.int64


@pytest.mark.parametrize("frozen", [False, True])
def test_fewer_vectors_than_asked_for(frozen: bool) -> None:
    index = filled(2).frozen(FLAT) if frozen else filled(2)
    scores, found = index.search(unit(3), 5)
    assert (found[:, 2:] == -1).all()
    assert np.isneginf(scores[:, 2:]).all()
    assert (found[:, :2] >= 0).all()
    assert np.isfinite(scores[:, :2]).all()


@each_kind
def test_an_empty_index(kind: IndexKind, tmp_path: Path) -> None:
    index = DenseIndex(8, kind)
    assert (len(index), index.n_dead, index.n_tail, index.kind) == (0, 0, 0, kind)
    index.save(tmp_path, "a")
    for one in (index, index.extended(), index.frozen(kind), DenseIndex.load(tmp_path, "a", 8)):
        for allowed in (None, keys(), keys(1, 2)):
            scores, found = one.search(unit(2), 3, allowed)
            assert found.tolist() == [[-1] * 3] * 2
            assert np.isneginf(scores).all()


def test_no_queries_and_nothing_to_add_or_remove() -> None:
    index = filled(3)
    index.add(keys(), np.empty((0, 8), np.float32))
    assert index.remove(keys()) == 0
    assert len(index) == 3
    for one in (index, index.extended()):
        scores, found = one.search(np.empty((0, 8), np.float32), 2)
        assert scores.shape == found.shape == (0, 2)


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


@pytest.mark.parametrize("new", [[27], [26, 28], [30, 29], [28, 28], [5, 40]])
@pytest.mark.parametrize("state", ["tail", "frozen", "removed"])
def test_keys_that_do_not_ascend_are_refused(new: list[int], state: str) -> None:
    index = filled(3)
    if state == "frozen":
        index = index.frozen(FLAT)
    elif state == "removed":
        index.remove(keys(27))
    before = len(index)
    with pytest.raises(ValueError, match="ascending keys beyond 27"):
        index.add(keys(*new), unit(len(new)))
    assert len(index) == before
    index.add(keys(28), unit(1))
    assert len(index) == before + 1


def test_strided_arrays_are_taken() -> None:
    wide = np.zeros((4, 16), np.float32)
    wide[:, ::2] = unit(4)
    index = DenseIndex(8)
    index.add(np.arange(8, dtype=np.int64)[::2], wide[:, ::2])
    assert index.search(wide[:, ::2], 1)[1][:, 0].tolist() == [0, 2, 4, 6]


def test_many_small_additions() -> None:
    index = DenseIndex(8)
    for row in range(100):
        index.add(keys(row), unit(100)[row : row + 1])
    assert index.search(unit(100), 1)[1][:, 0].tolist() == list(range(100))


# -- searching


@each_kind
def test_the_best_are_found(kind: IndexKind) -> None:
    index, queries = built(kind), clustered(60, seed=1)
    assert (len(index), index.n_dead, index.n_tail, index.kind) == (N, 0, 0, kind)
    check(kind, queries, index.search(queries, K), nearest(queries, K, all_keys()))


@each_kind
def test_a_batch_equals_single_queries(kind: IndexKind) -> None:
    """FAISS takes another way for many queries at once."""
    queries = clustered(40, seed=2)
    scores, found = built(kind).search(queries, 5)
    for row in range(40):
        one_scores, one_found = built(kind).search(queries[row : row + 1], 5)
        assert one_found[0].tolist() == found[row].tolist()
        assert one_scores[0] == pytest.approx(scores[row], abs=1e-5)


@each_kind
@pytest.mark.parametrize("n", [1, N // 5, N // 2, N - 1, N])
def test_only_what_is_allowed_is_found(kind: IndexKind, n: int) -> None:
    allowed = np.random.default_rng(n).permutation(all_keys())[:n]
    queries = clustered(30, seed=3)
    asked = np.concatenate([allowed, allowed[:5], keys(0, 6, 10**15)])  # some twice, and unknown ones
    scores, found = built(kind).search(queries, K, asked)
    least = min(n, K)
    assert np.isin(found[:, :least], allowed).all()
    assert (found[:, least:] == -1).all()
    assert np.isneginf(scores[:, least:]).all()
    assert (np.sort(found[:, :least], axis=1)[:, 1:] != np.sort(found[:, :least], axis=1)[:, :-1]).all()
    check(kind, queries, (scores[:, :least], found[:, :least]), nearest(queries, least, np.sort(allowed)))


@each_kind
def test_three_are_allowed(kind: IndexKind) -> None:
    allowed = all_keys()[[1900, 3, 1000]]
    queries = clustered(4, seed=4)
    scores, found = built(kind).search(queries, 5, allowed)
    expected_scores, expected = nearest(queries, 3, np.sort(allowed))
    assert found.tolist() == [[*row, -1, -1] for row in expected.tolist()]
    np.testing.assert_allclose(scores[:, :3], expected_scores, atol=SCORE_TOLERANCE)


@each_kind
def test_nothing_is_allowed(kind: IndexKind) -> None:
    for allowed in (keys(), keys(0, 1, 10**15)):
        scores, found = built(kind).search(clustered(2, seed=5), 4, allowed)
        assert (found == -1).all()
        assert np.isneginf(scores).all()


@each_kind
@pytest.mark.parametrize("removed", [False, True])
def test_the_whole_neighbourhood_of_a_query_is_not_allowed(kind: IndexKind, removed: bool, saved: Path) -> None:
    """A search that skips what is not allowed fills up with what it passes; the true best are far away."""
    queries = clustered(25, seed=6)[:2]  # round the centres 0 and 1
    far = all_keys()[np.arange(N) % 25 >= 10]
    if removed:
        index = DenseIndex.load(saved, str(kind), DIM)
        assert index.remove(np.setdiff1d(all_keys(), far)) == N - len(far)
        answer = index.search(queries, K)
    else:
        answer = built(kind).search(queries, K, far)
    assert np.isin(answer[1], far).all()
    expected = nearest(queries, K, far)
    assert answer[1].tolist() == expected[1].tolist() or np.allclose(answer[0], expected[0], atol=SCORE_TOLERANCE)


@each_kind
def test_a_few_of_very_many_are_allowed(kind: IndexKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are gathered, but so few that most candidates would be thrown away."""
    monkeypatch.setattr(part, "FEW", 5)
    monkeypatch.setattr(part, "GATHERED", 5)
    monkeypatch.setattr(part, "MOST_CANDIDATES", 50)
    allowed = all_keys()[::50]
    queries = clustered(10, seed=7)
    scores, found = built(kind).search(queries, K, allowed)
    expected_scores, expected = nearest(queries, K, allowed)
    assert recall(expected, found) > 0.99
    np.testing.assert_allclose(scores, expected_scores, atol=SCORE_TOLERANCE)


@each_kind
def test_more_results_than_usual(kind: IndexKind) -> None:
    queries = clustered(3, seed=8)
    scores, found = built(kind).search(queries, 600)
    assert (found >= 0).all()
    assert recall(nearest(queries, 600, all_keys())[1], found) >= 0.95
    assert (np.diff(scores, axis=1) <= 0).all()


# -- removing


def test_removal_counts_what_was_there() -> None:
    index = filled(5)
    assert index.remove(keys(17, 7, 999, 17, -1)) == 2
    assert (len(index), index.n_dead, index.n_tail) == (3, 2, 5)
    assert index.remove(keys(17, 27)) == 1
    assert (len(index), index.n_dead) == (2, 3)


@each_kind
def test_what_is_removed_never_comes_back(kind: IndexKind, saved: Path, tmp_path: Path) -> None:
    index = DenseIndex.load(saved, str(kind), DIM)
    gone = np.concatenate([all_keys()[::2], keys(100_001)])
    index.add(keys(100_000, 100_001), clustered(2, seed=9))
    assert index.remove(gone) == len(gone)
    left = np.append(np.setdiff1d(all_keys(), gone), 100_000)
    extended = index.extended()
    extended.save(tmp_path, "a")
    stages = {
        "removed": (index, len(gone)),
        "extended": (extended, len(gone) - 1),
        "loaded": (DenseIndex.load(tmp_path, "a", DIM), len(gone) - 1),
        "frozen": (extended.frozen(kind), 0),
    }
    queries = clustered(N)[:40]  # half of them the vectors that were removed
    for stage, (one, n_dead) in stages.items():
        assert (len(one), one.n_dead) == (len(left), n_dead), stage
        for allowed in (None, gone, np.append(gone, left)):
            found = one.search(queries, K, allowed)[1]
            assert np.isin(found, [*left, -1]).all(), stage
            assert (found == -1).all() == (allowed is gone), stage
        answer = one.search(queries, K, left[:-1])
        check(kind, queries, answer, nearest(queries, K, left[:-1]))


# -- freezing


@each_kind
def test_the_tail_is_searched_with_the_frozen_part(kind: IndexKind, saved: Path) -> None:
    index = DenseIndex.load(saved, str(kind), DIM)
    new = clustered(200, seed=10)
    index.add(100_000 + np.arange(200), new)
    assert (len(index), index.n_tail) == (N + 200, 200)
    scores, found = index.search(new, 3)
    assert found[:, 0].tolist() == list(range(100_000, 100_200))
    assert scores[:, 0] == pytest.approx(1, abs=1e-5)
    assert (found[:, 1:] < 100_000).any()
    only = index.search(new, 3, np.append(all_keys()[:300], keys(100_007)))[1]
    assert only[7, 0] == 100_007
    assert np.isin(only, [*all_keys()[:300], 100_007]).all()


@each_kind
def test_extending_takes_the_tail_in_and_changes_nothing_else(kind: IndexKind, saved: Path) -> None:
    index = DenseIndex.load(saved, str(kind), DIM)
    files = {path: path.read_bytes() for path in saved.glob(f"{kind}.*")}
    new = clustered(200, seed=11)
    index.add(100_000 + np.arange(200), new)
    index.remove(keys(100_005))
    before = index.search(new, 5)
    extended = index.extended()
    assert (extended.kind, len(extended), extended.n_tail, extended.n_dead) == (kind, N + 199, 0, 0)
    found = extended.search(new, 5)[1]
    assert recall(before[1], found) >= 0.95
    assert 100_005 not in found
    assert found[7, 0] == 100_007
    assert (index.n_tail, len(index)) == (200, N + 199)
    for one, other in zip(index.search(new, 5), before, strict=True):
        assert np.array_equal(one, other)
    assert {path: path.read_bytes() for path in files} == files


@pytest.mark.parametrize(("kind", "is_anew"), [(FLAT, False), (HNSW, False), (IVF_PQ, True)], ids=str)
def test_a_trained_index_is_trained_anew_when_it_has_grown(kind: IndexKind, is_anew: bool) -> None:
    """Dead rows show whether it was: they leave only when the index is built anew."""
    index = DenseIndex(DIM)
    index.add(all_keys(1000), clustered(N)[:1000])
    index = index.frozen(kind)
    index.remove(all_keys(10))
    for first, n, n_dead in ((100_000, 3000, 10), (200_000, 1, 0 if is_anew else 10)):
        index.add(first + np.arange(n), clustered(3000, seed=first)[:n])
        index = index.extended()
        assert (index.kind, index.n_dead, index.n_tail) == (kind, n_dead, 0)
    assert len(index) == 1000 - 10 + 3001


@each_kind
def test_too_few_vectors_to_train_with_are_kept_flat(kind: IndexKind) -> None:
    index = DenseIndex(DIM, kind)
    index.add(all_keys()[: LEAST_TO_TRAIN - 1], clustered(N)[: LEAST_TO_TRAIN - 1])
    assert index.extended().kind == index.frozen(kind).kind == (FLAT if kind.is_trained else kind)
    index.add(all_keys()[LEAST_TO_TRAIN - 1 : LEAST_TO_TRAIN], clustered(N)[:1])
    assert index.extended().kind == index.frozen(kind).kind == kind


@pytest.mark.parametrize("kind", [FLAT, HNSW, IVF_PQ], ids=str)
@pytest.mark.parametrize("other", [FLAT, HNSW, IVF_PQ], ids=str)
def test_one_kind_is_made_of_another(kind: IndexKind, other: IndexKind, saved: Path) -> None:
    index = DenseIndex.load(saved, str(kind), DIM).frozen(other)
    queries = clustered(30, seed=12)
    assert index.kind == other
    answer, expected = index.search(queries, K), nearest(queries, K, all_keys())
    assert recall(expected[1], answer[1]) >= 0.95
    np.testing.assert_allclose(answer[0][:, 0], expected[0][:, 0], atol=SCORE_TOLERANCE)


# -- files


@each_kind
def test_save_and_load(kind: IndexKind, tmp_path: Path) -> None:
    names = built(kind).save(tmp_path, "a")
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert all(name.startswith("a.") for name in names)
    assert len(names) == (2 if kind.keeps_rows else 3)
    loaded = DenseIndex.load(tmp_path, "a", DIM)
    assert (loaded.kind, len(loaded), loaded.n_tail, loaded.n_dead) == (kind, N, 0, 0)
    queries = clustered(30, seed=13)
    for allowed in (None, all_keys()[::2], all_keys()[:9]):
        for one, other in zip(built(kind).search(queries, K, allowed), loaded.search(queries, K, allowed), strict=True):
            assert np.array_equal(one, other)


def test_a_tail_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="5 vectors are not frozen yet"):
        filled(5).save(tmp_path, "a")
    assert list(tmp_path.iterdir()) == []


@each_kind
def test_files_may_go_while_they_are_in_use(kind: IndexKind, tmp_path: Path) -> None:
    built(kind).save(tmp_path, "a")
    index = DenseIndex.load(tmp_path, "a", DIM)
    for path in tmp_path.iterdir():
        path.unlink()
    queries = clustered(30, seed=14)
    check(kind, queries, index.search(queries, K), nearest(queries, K, all_keys()))
    check(kind, queries, index.search(queries, K, all_keys()[::2]), nearest(queries, K, all_keys()[::2]))
    assert len(index.extended()) == len(index.frozen(kind)) == N


def test_a_failed_save_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        built(FLAT).save(tmp_path, "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9])
@pytest.mark.parametrize("suffix", ["faiss", "rows.npz", "vectors.npy"])
def test_a_file_that_is_not_whole(tmp_path: Path, suffix: str, share: float) -> None:
    built(IVF_PQ).save(tmp_path, "a")
    path = tmp_path / f"a.{suffix}"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(StateError, match=rf"a\.{suffix} is damaged"):
        DenseIndex.load(tmp_path, "a", DIM)


@pytest.mark.parametrize("suffix", ["faiss", "rows.npz", "vectors.npy"])
def test_a_missing_file(tmp_path: Path, suffix: str) -> None:
    built(IVF_PQ).save(tmp_path, "a")
    (tmp_path / f"a.{suffix}").unlink()
    with pytest.raises(StateError, match=rf"a\.{suffix} is missing"):
        DenseIndex.load(tmp_path, "a", DIM)


@pytest.mark.parametrize("suffix", ["faiss", "rows.npz", "vectors.npy"])
def test_a_file_of_something_else(tmp_path: Path, suffix: str) -> None:
    built(IVF_PQ).save(tmp_path, "a")
    path = tmp_path / f"a.{suffix}"
    text = b"no index at all, but some text. "
    path.write_bytes((text * path.stat().st_size)[: path.stat().st_size])
    with pytest.raises(StateError, match=rf"a\.{suffix} is damaged"):
        DenseIndex.load(tmp_path, "a", DIM)


@pytest.mark.parametrize("suffix", ["faiss", "rows.npz", "vectors.npy"])
def test_files_that_do_not_belong_together(tmp_path: Path, suffix: str) -> None:
    built(IVF_PQ).save(tmp_path, "a")
    fewer().save(tmp_path, "b")
    (tmp_path / f"b.{suffix}").replace(tmp_path / f"a.{suffix}")
    with pytest.raises(StateError, match=r"a\.\S+ is damaged: expected \d+, found \d+"):
        DenseIndex.load(tmp_path, "a", DIM)


def test_another_dim_than_expected(saved: Path) -> None:
    with pytest.raises(StateError, match=r"flat\.vectors\.npy is damaged: expected \(2000, 17\), found \(2000, 16\)"):
        DenseIndex.load(saved, "flat", DIM + 1)
