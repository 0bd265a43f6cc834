"""Precision and search score by class folder."""

import numpy as np
import pytest

from crossmodal.core.errors import InputError
from crossmodal.evaluation import classes
from crossmodal.evaluation.classes import (
    figures,
    hits_among_best,
    name_precisions,
    number_classes,
    precision_at,
    search_score,
)


def by_hand(images: np.ndarray, class_of: np.ndarray) -> tuple[list[float], list[float]]:
    """Precision at 5 and search score of every picture, in plain Python."""
    precisions, scores = [], []
    for i in range(len(images)):
        others = sorted((j for j in range(len(images)) if j != i), key=lambda j: -float(images[i] @ images[j]))
        hits = [class_of[j] == class_of[i] for j in others]
        precisions.append(sum(hits[:5]) / 5)
        scores.append(100 * sum((15 - place) / 15 for place, hit in enumerate(hits[:15]) if hit) / 8.0)
    return precisions, scores


@pytest.mark.parametrize("seed", range(5))
def test_random_pictures_as_by_hand(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    images, class_of = rng.normal(size=(40, 6)).astype(np.float32), rng.integers(0, 4, 40)
    hits = hits_among_best(images, class_of)
    precisions, scores = by_hand(images, class_of)
    assert precision_at(hits, 5).tolist() == pytest.approx(precisions)
    assert search_score(hits).tolist() == pytest.approx(scores)
    monkeypatch.setattr(classes, "CHUNK", 7)
    assert (hits_among_best(images, class_of) == hits).all()


def test_the_query_itself_is_no_hit() -> None:
    """Also where pictures are the same to the last bit, or are no numbers."""
    images = np.ones((20, 2), np.float32)
    assert not hits_among_best(images, np.arange(20)).any()
    assert not hits_among_best(np.full_like(images, np.nan), np.arange(20)).any()


def test_a_tie_counts_against_us() -> None:
    images = np.ones((4, 2), np.float32)
    assert hits_among_best(images, np.array([0, 0, 1, 1]), depth=3).tolist() == [[False, False, True]] * 4


def test_a_perfect_search() -> None:
    images, class_of = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0), np.repeat([0, 1], 20)
    hits = hits_among_best(images, class_of)
    assert (search_score(hits) == 100).all()
    assert figures(hits, ["cat", "dog"], class_of)["per_class"]["dog"] == {
        "images": 20, "P@1": 1.0, "P@5": 1.0, "P@10": 1.0, "search_score": 100.0,
    }  # fmt: skip


def test_fewer_pictures_than_places() -> None:
    hits = hits_among_best(np.eye(3, dtype=np.float32), np.array([0, 0, 1]))
    assert hits.shape == (3, 15)
    assert not hits[:, 2:].any()


def test_a_picture_alone_in_its_class_is_no_query() -> None:
    class_of = np.array([0, 0, 1])
    found = figures(np.ones((3, 15), bool), ["cats", "lonely"], class_of)
    assert (found["queries"], found["alone"]) == (2, 1)
    assert list(found["per_class"]) == ["cats"]


@pytest.mark.parametrize(
    ("names", "told"), [(["cat"] * 3, r"3 pictures are in one folder \(cat\)"), (["cat", "dog"], "one picture only")]
)
def test_nothing_to_tell_apart(names: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        number_classes(names)


@pytest.mark.parametrize("seed", range(5))
def test_names_find_pictures_as_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, texts = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)
    class_of = rng.integers(0, 3, 30)
    for number, share in enumerate(name_precisions(images, texts, class_of)):
        best = sorted(range(30), key=lambda i: -float(texts[number] @ images[i]))[:10]
        assert share == sum(class_of[i] == number for i in best) / 10


def test_a_tie_of_pictures_counts_against_the_name() -> None:
    images, texts = np.ones((20, 2), np.float32), np.ones((2, 2), np.float32)
    assert name_precisions(images, texts, np.repeat([0, 1], 10)).tolist() == [0, 0]
