"""Ranks and what is made of them."""

import numpy as np
import pytest

from crossmodal.evaluation import recall
from crossmodal.evaluation.recall import Retrieval, image_to_text_ranks, rsum, summarise, text_to_image_ranks

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
