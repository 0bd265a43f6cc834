"""The inverted index: search, scorings, explanations, removal, files."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Keys
from crossmodal.lexical.best import BLOCK
from crossmodal.lexical.inverted import SparseIndex

N_TERMS = 5
PICTURES = [
    [2.0, 0.0, 1.0, 0.0, 0.0],
    [0.0, 3.0, 0.0, 0.0, 0.0],
    [1.0, 1.0, 1.0, 1.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0],
]


def rows(*values: list[float]) -> csr_matrix:
    return csr_matrix(np.array(values, np.float32).reshape(len(values), -1))


def keys(*values: int) -> Keys:
    return np.array(values, np.int64)


def filled() -> SparseIndex:
    index = SparseIndex(N_TERMS)
    index.add(keys(10, 20, 30, 40), rows(*PICTURES))
    return index


def generated(n: int, seed: int = 0, n_terms: int = 40) -> csr_matrix:
    return csr_matrix(random_array((n, n_terms), density=0.2, format="csr", dtype=np.float32, rng=seed))


def found(index: SparseIndex, query: list[float], k: int = 10, **how: object) -> list[tuple[int, float]]:
    scores, of_pictures = index.search(rows(query), k, **how)
    return [(key, score) for key, score in zip(of_pictures[0].tolist(), scores[0].tolist(), strict=True) if key >= 0]


def test_the_dot_product_ranks() -> None:
    scores, of_pictures = filled().search(rows([1, 0, 2, 0, 0], [0, 1, 0, 0, 0]), 3)
    assert of_pictures.tolist() == [[10, 30, -1], [20, 30, -1]]
    assert scores.tolist() == [[4, 3, -np.inf], [3, 1, -np.inf]]
    assert scores.dtype == np.float32
    assert of_pictures.dtype == np.int64


def test_only_pictures_that_share_a_word_are_found() -> None:
    assert found(filled(), [0, 0, 0, 1, 0]) == [(30, 1)]
    assert found(filled(), [0, 0, 0, 0, 1]) == []
    assert found(filled(), [0, 0, 0, 0, 0]) == []
    assert found(SparseIndex(N_TERMS), [1, 1, 1, 1, 1]) == []


def test_a_word_to_be_avoided() -> None:
    """It lowers the score, but finds nothing by itself; a score may be 0 or negative."""
    assert found(filled(), [1, -1, 0, 0, 0]) == [(10, 2), (30, 0)]
    assert found(filled(), [1, -5, 0, 0, 0]) == [(10, 2), (30, -4)]
    assert found(filled(), [0, -1, 0, 0, 0]) == []


def test_equal_scores_come_by_ascending_key() -> None:
    index = SparseIndex(1)
    n = 10 * BLOCK
    index.add(np.arange(n), rows(*([1.0] if key % 2 else [2.0] for key in range(n))))
    assert index.search(rows([1.0]), 8)[1][0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    later = index.search(rows([1.0]), n // 2 + 3)[1][0].tolist()
    assert later == [*range(0, n, 2), 1, 3, 5]


def test_equal_scores_of_old_and_new_pictures() -> None:
    index = filled().compacted()
    index.add(keys(50, 60), rows(PICTURES[0], PICTURES[2]))
    assert [key for key, _ in found(index, [1, 0, 2, 0, 0])] == [10, 50, 30, 60]


def test_no_queries_no_pictures() -> None:
    index = filled()
    index.add(keys(), csr_matrix((0, N_TERMS), dtype=np.float32))
    scores, of_pictures = index.search(csr_matrix((0, N_TERMS), dtype=np.float32), 2)
    assert len(index) == 4
    assert scores.shape == of_pictures.shape == (0, 2)


def test_a_batch_equals_single_queries() -> None:
    index = SparseIndex(40)
    index.add(np.arange(500), generated(500))
    queries = generated(20, seed=1)
    scores, of_pictures = index.search(queries, 7)
    for row in range(20):
        one_scores, one_keys = index.search(queries[row], 7)
        assert np.array_equal(one_scores[0], scores[row])
        assert np.array_equal(one_keys[0], of_pictures[row])


@pytest.mark.parametrize("k", [1, 10, 63, 64, 200, 5000])
def test_search_equals_the_plain_product(k: int) -> None:
    """On both ways to choose the best: with many blocks and with few."""
    pictures, queries, n = generated(4000), generated(5, seed=1), 4000
    index = SparseIndex(40)
    index.add(np.arange(n), pictures)
    scores, of_pictures = index.search(queries, k)
    expected = (queries.astype(np.float64) @ pictures.astype(np.float64).T).toarray()
    for row in range(5):
        n_found = min(k, np.count_nonzero(expected[row]))
        np.testing.assert_allclose(scores[row, :n_found], np.sort(expected[row])[::-1][:n_found], rtol=1e-5)
        np.testing.assert_allclose(scores[row, :n_found], expected[row, of_pictures[row, :n_found]], rtol=1e-5)
        assert (of_pictures[row, n_found:] == -1).all()


def test_the_weights_may_come_in_any_order_and_type() -> None:
    messy = csr_matrix((np.array([1.0, 0.0, 2.0, 0.5]), np.array([3, 2, 0, 3]), np.array([0, 4])), shape=(1, N_TERMS))
    index = SparseIndex(N_TERMS)
    index.add(keys(1), messy)
    assert found(index, [1, 0, 0, 1, 0]) == [(1, 3.5)]
    assert index.active_terms().tolist() == [2]
    assert messy.nnz == 4, "the caller's matrix is left as it was"


def test_only_allowed_pictures_are_found() -> None:
    index = filled()
    index.remove(keys(10))
    assert found(index, [1, 1, 0, 0, 0], allowed=keys(30, 10, 99, 30)) == [(30, 2)]
    assert found(index, [1, 1, 0, 0, 0], allowed=keys()) == []
    assert found(index, [1, -1, 0, 0, 0], allowed=keys(30)) == [(30, 0)]


def test_removal() -> None:
    index = filled()
    assert index.remove(keys(30, 99, 30)) == 1
    assert index.remove(keys(30)) == 0
    assert (len(index), index.n_dead, index.n_tail) == (3, 1, 4)
    assert found(index, [1, 1, 1, 1, 1]) == [(10, 3), (20, 3)]
    clean = index.compacted()
    assert (len(clean), clean.n_dead, clean.n_tail) == (3, 0, 0)
    assert found(clean, [1, 1, 1, 1, 1]) == [(10, 3), (20, 3)]
    assert len(index.posted_rows(0)[0]) == 1
    assert (len(index), index.n_dead) == (3, 1), "the index it was made of is as it was"


def test_the_thesis_scoring_by_hand() -> None:
    """4 pictures; the activations of term 0 sum to 3, of term 1 to 4; picture 30 has 4 active terms."""
    [(best, best_score), (second, second_score)] = found(filled(), [1, 0, 0, 1, 0], scoring="activation-idf")
    assert (best, second) == (30, 10)
    assert best_score == pytest.approx(1 / 4 * np.log(4 / (1 + 3)) + 1 / 4 * np.log(4 / (1 + 1)))
    assert second_score == pytest.approx(2 / 2 * np.log(4 / (1 + 3)), abs=1e-7)


def test_a_frequent_word_counts_against_a_picture_in_the_thesis_scoring() -> None:
    """The logarithm is negative where a word's activations sum to more than there are pictures."""
    found_pictures = found(filled(), [0, 1, 0, 0, 0], scoring="activation-idf")
    assert [key for key, _ in found_pictures] == [30, 20]
    assert found_pictures[1][1] == pytest.approx(3 * np.log(4 / 5))


def test_tf_idf_by_hand() -> None:
    idf = np.log(5 / (1 + np.array([2, 2, 2, 1, 0]))) + 1
    vectors = np.array(PICTURES[:3]) * idf
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = np.array([1, 0, 0, 1, 0]) * idf
    expected = vectors @ (query / np.linalg.norm(query))
    assert dict(found(filled(), [0.3, 0, 0, 0.3, 0], scoring="tf-idf")) == pytest.approx(
        {30: expected[2], 10: expected[0]}, rel=1e-6
    )


@pytest.mark.parametrize("scoring", ["dot", "activation-idf", "tf-idf"])
def test_scores_follow_what_is_added_and_removed(scoring: str) -> None:
    changed = filled()
    changed.search(rows([1, 1, 1, 1, 1]), 3, scoring=scoring)
    changed.remove(keys(20))
    changed.add(keys(50), rows([1, 1, 0, 0, 4]))
    direct = SparseIndex(N_TERMS)
    direct.add(keys(10, 30, 40, 50), rows(PICTURES[0], PICTURES[2], PICTURES[3], [1, 1, 0, 0, 4]))
    query = [1, 1, 0, -1, 1]
    expected = found(direct, query, scoring=scoring)
    assert found(changed, query, scoring=scoring) == expected
    assert found(changed.compacted(), query, scoring=scoring) == expected


@pytest.mark.parametrize("scoring", ["dot", "activation-idf", "tf-idf"])
def test_contributions_sum_to_the_score(scoring: str) -> None:
    query = [1.5, 0, -2, 1, 3]
    scores = found(filled(), query, scoring=scoring)
    _, contributions = filled().contributions(rows(query), keys(*(key for key, _ in scores)), scoring)
    assert contributions.sum(axis=1).tolist() == pytest.approx([score for _, score in scores], abs=1e-6)


def test_contributions_are_those_of_the_shared_words() -> None:
    index = filled()
    index.remove(keys(20))
    terms, contributions = index.contributions(rows([1, 5, -1, 1, 0]), keys(30, 20, 99))
    assert terms.tolist() == [0, 1, 2, 3]
    assert contributions.tolist() == [[1, 5, -1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_postings() -> None:
    index = filled().compacted()
    index.add(keys(50), rows([4, 0, 0, 0, 0]))
    index.remove(keys(30))
    of_rows, weights = index.posted_rows(0)
    assert (of_rows.tolist(), weights.tolist()) == ([0, 4], [2, 4])
    assert [len(index.posted_rows(term)[0]) for term in range(N_TERMS)] == [2, 1, 1, 0, 0]
    assert index.active_terms().tolist() == [2, 1, 0, 1]


@pytest.mark.parametrize("bad", [[7, 8, 8], [9, 8, 10], [4, 8, 10], [3, 4, 5], [8, 9]])
def test_keys_that_do_not_ascend_are_refused(bad: list[int]) -> None:
    index = SparseIndex(N_TERMS)
    index.add(keys(4), rows(PICTURES[0]))
    with pytest.raises(ValueError, match=r"keys must ascend|expected \(2, 5\)"):
        index.add(keys(*bad), rows(*PICTURES[:3]))
    assert len(index) == 1


@pytest.mark.parametrize("bad", [-1.0, np.inf, np.nan])
def test_bad_weights_are_refused(bad: float) -> None:
    index = SparseIndex(N_TERMS)
    with pytest.raises(ValueError, match="finite and not negative"):
        index.add(keys(1), rows([0, bad, 0, 0, 0]))
    assert len(index) == 0


def test_bad_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="over 5 terms, found 4"):
        filled().search(rows([1, 0, 0, 0]), 3)
    with pytest.raises(ValueError, match="finite"):
        filled().search(rows([1, np.nan, 0, 0, 0]), 3)
    with pytest.raises(ValueError, match="at least 1"):
        filled().search(rows([1, 0, 0, 0, 0]), 0)
    with pytest.raises(InputError, match="no scoring 'bm25'; there are dot, activation-idf, tf-idf"):
        filled().search(rows([1, 0, 0, 0, 0]), 3, scoring="bm25")  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [0, 1, 300])
def test_save_and_load(tmp_path: Path, n: int) -> None:
    index = SparseIndex(40)
    index.add(np.arange(n) * 3, generated(n))
    names = index.save(tmp_path / "new", "a")
    loaded = SparseIndex.load(tmp_path / "new", "a")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)
    assert (len(loaded), loaded.n_terms, loaded.n_tail, loaded.n_dead) == (n, 40, 0, 0)
    for scoring in ("dot", "activation-idf", "tf-idf"):
        queries = generated(4, seed=2)
        for one, other in zip(
            index.search(queries, 9, scoring=scoring), loaded.search(queries, 9, scoring=scoring), strict=True
        ):
            assert np.array_equal(one, other)


def test_the_lists_stay_in_their_files(tmp_path: Path) -> None:
    filled().save(tmp_path, "a")
    main, _ = SparseIndex.load(tmp_path, "a").parts()
    assert isinstance(main.rows, np.memmap)
    assert isinstance(main.weights, np.memmap)


def test_a_loaded_index_can_be_changed_and_saved_over(tmp_path: Path) -> None:
    filled().save(tmp_path, "a")
    loaded = SparseIndex.load(tmp_path, "a")
    loaded.remove(keys(10))
    loaded.add(keys(50), rows([1, 0, 0, 0, 0]))
    loaded.save(tmp_path, "a")
    assert found(SparseIndex.load(tmp_path, "a"), [1, 0, 0, 0, 0]) == [(30, 1), (50, 1)]
    assert found(loaded, [1, 0, 0, 0, 0]) == [(30, 1), (50, 1)]


def test_two_stems_do_not_meet(tmp_path: Path) -> None:
    filled().save(tmp_path, "a")
    SparseIndex(7).save(tmp_path, "a.b")
    assert len(SparseIndex.load(tmp_path, "a")) == 4
    assert SparseIndex.load(tmp_path, "a.b").n_terms == 7


FILES = ("a.json", "a.keys.npy", "a.active.npy", "a.starts.npy", "a.rows.npy", "a.weights.npy")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [None, 0.0, 0.5, 0.95])
def test_a_missing_or_cut_file_is_named(tmp_path: Path, name: str, share: float | None) -> None:
    filled().save(tmp_path, "a")
    path = tmp_path / name
    content = path.read_bytes()
    path.unlink()
    if share is not None:
        path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(StateError, match=name):
        SparseIndex.load(tmp_path, "a")


@pytest.mark.parametrize("content", [b"[]", b"{}", b'"a"', b"null", b"\xff", b"[" * 100_000])
def test_a_manifest_of_something_else(tmp_path: Path, content: bytes) -> None:
    filled().save(tmp_path, "a")
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StateError, match=r"a\.json is damaged"):
        SparseIndex.load(tmp_path, "a")


def test_a_failed_write_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space"):
        filled().save(tmp_path, "a")
    assert list(tmp_path.iterdir()) == []
