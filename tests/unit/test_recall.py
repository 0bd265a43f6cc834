"""Ranks and what is made of them."""

import numpy as np
import pytest

from crossmodal.core.errors import InputError
from crossmodal.evaluation import recall
from crossmodal.evaluation.recall import (
    NOT_FOUND,
    Retrieval,
    both_ways,
    figures,
    image_to_text_ranks,
    in_folds,
    rank_in_answer,
    rsum,
    summarise,
    text_to_image_ranks,
)  # fmt: skip

IMAGES = np.eye(3, dtype=np.float32)


def test_perfect_ranks() -> None:
    texts = np.repeat(IMAGES, 2, axis=0)
    image_of = np.repeat(np.arange(3), 2)
    assert text_to_image_ranks(IMAGES, texts, image_of).tolist() == [1] * 6
    assert image_to_text_ranks(IMAGES, texts, image_of).tolist() == [1] * 3


def test_a_tie_counts_against_us() -> None:
    same = np.ones((3, 3), np.float32)
    assert text_to_image_ranks(same, same, np.arange(3)).tolist() == [3, 3, 3]
    assert image_to_text_ranks(same, same, np.arange(3)).tolist() == [3, 3, 3]


def test_own_captions_do_not_stand_before_each_other() -> None:
    same = np.ones((4, 3), np.float32)
    assert image_to_text_ranks(same[:2], same, np.array([0, 0, 0, 1])).tolist() == [2, 4]


def test_the_best_of_an_images_texts_counts() -> None:
    texts = np.array([[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    assert image_to_text_ranks(IMAGES, texts, np.array([0, 0, 1, 2])).tolist() == [1, 2, 1]


def test_images_without_a_text_are_left_out() -> None:
    assert image_to_text_ranks(IMAGES, IMAGES[[2, 0]], np.array([2, 0])).tolist() == [1, 1]
    assert text_to_image_ranks(IMAGES, IMAGES[[2, 0]], np.array([2, 0])).tolist() == [1, 1]


def test_nothing_to_rank() -> None:
    none, nobody = np.empty((0, 3), np.float32), np.empty(0, np.int64)
    assert text_to_image_ranks(IMAGES, none, nobody).tolist() == []
    assert image_to_text_ranks(none, none, nobody).tolist() == []


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(20, 4)).astype(np.float32), rng.normal(size=(50, 4)).astype(np.float32)
    image_of = rng.integers(0, 20, 50)
    whole = [ranks(images, texts, image_of).tolist() for ranks in (text_to_image_ranks, image_to_text_ranks)]
    monkeypatch.setattr(recall, "CHUNK", 7)
    assert [r(images, texts, image_of).tolist() for r in (text_to_image_ranks, image_to_text_ranks)] == whole


def test_summarise() -> None:
    found = summarise(np.array([1, 2, 5, 6, 10, 11]))
    assert found.recall == {1: 1 / 6, 5: 3 / 6, 10: 5 / 6}
    assert found.median_rank == 5  # of 5.5, as VSE++ rounds it
    assert found.mean_rank == pytest.approx(35 / 6)
    assert found.mrr == pytest.approx((1 + 1 / 2 + 1 / 5 + 1 / 6 + 1 / 10 + 1 / 11) / 6)
    assert summarise(np.array([3]), ks=(2, 3)).recall == {2: 0.0, 3: 1.0}


def test_to_dict_has_the_fields_names() -> None:
    assert Retrieval({1: 0.12345, 5: 0.5}, 2.0, 3.456, 0.98765).to_dict() == {
        "R@1": 0.1235, "R@5": 0.5, "MedR": 2.0, "MeanR": 3.46, "MRR": 0.9877,
    }  # fmt: skip


def test_rsum_is_in_percent() -> None:
    half, all_found = summarise(np.array([1, 20])), summarise(np.array([1, 1]))
    assert rsum(half, all_found) == 450.0
    assert rsum() == 0


def test_what_is_no_number_counts_against_us() -> None:
    broken = np.full((3, 3), np.nan, np.float32)
    assert text_to_image_ranks(broken, IMAGES, np.arange(3)).tolist() == [3, 3, 3]
    assert text_to_image_ranks(IMAGES, broken, np.arange(3)).tolist() == [3, 3, 3]
    assert image_to_text_ranks(IMAGES, broken, np.arange(3)).tolist() == [3, 3, 3]


def test_ranks_nobody_knows_leave_only_the_recalls() -> None:
    found = summarise(np.array([1, NOT_FOUND, 7, NOT_FOUND]))
    assert found.to_dict() == {"R@1": 0.25, "R@5": 0.25, "R@10": 0.5}
    assert rsum(found) == 100.0


def test_folds_are_ranked_by_themselves() -> None:
    """Four pictures, two of a kind: each is found in its fold, and tied with its twin in the whole."""
    images = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    texts, image_of = np.repeat(images, 5, axis=0), np.repeat(np.arange(4), 5)
    whole, folds = figures(*both_ways(images, texts, image_of)), figures(*in_folds(images, texts, image_of, 2))
    assert whole["t2i"]["R@1"] == whole["i2t"]["R@1"] == 0
    assert folds["t2i"]["R@1"] == folds["i2t"]["R@1"] == 1
    assert (folds["rsum"], folds["t2i"]["MedR"], folds["i2t"]["MeanR"]) == (600.0, 1, 1)


def test_a_mean_over_folds() -> None:
    images = np.eye(4, dtype=np.float32)
    texts = images[[0, 1, 3, 2]]  # the second fold has its captions exchanged
    t2i, i2t = in_folds(images, texts, np.arange(4), 2)
    assert t2i.recall == i2t.recall == {1: 0.5, 5: 1.0, 10: 1.0}
    assert (t2i.mean_rank, t2i.mrr) == (1.5, 0.75)


@pytest.mark.parametrize(("n_folds", "advice"), [(2, "-n 2"), (5, "fewer --folds")])
def test_folds_of_different_sizes_are_refused(n_folds: int, advice: str) -> None:
    with pytest.raises(InputError, match=f"3 pictures can't be split into {n_folds} folds.*{advice}"):
        in_folds(IMAGES, IMAGES, np.arange(3), n_folds)


def test_a_rank_out_of_an_answer() -> None:
    answer = [("a", 0.9), ("b", 0.8), ("c", 0.8), ("d", 0.1)]
    assert [rank_in_answer(answer, {own}) for own in "abcde"] == [1, 3, 3, 4, NOT_FOUND]
    assert rank_in_answer(answer, {"b", "c"}) == 2  # its own do not stand before each other
    assert rank_in_answer([], {"a"}) == NOT_FOUND
