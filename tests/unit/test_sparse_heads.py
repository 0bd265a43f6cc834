"""The two recipes learn words from vectors in which they are, the same way every time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import ModelSpec, Preprocessing
from crossmodal.evaluation.encoding import EncodedSplit
from crossmodal.evaluation.term_ranking import epoch_figures as measure
from crossmodal.lexical.terms import TermVocabulary
from crossmodal.training.distilled_heads import DenseToSparseTraining, _batches, train_dense_to_sparse
from crossmodal.training.losses import flops, matching_loss
from crossmodal.training.thesis_heads import ThesisTraining, train_thesis

COLOURS, SHAPES = ("red", "green", "blue", "white", "pink"), ("heart", "star", "moon", "drop", "ring", "cross")
BASE = ModelSpec("clip", "scenes", "hash", 24, Preprocessing(size_px=8))
THESIS = ThesisTraining(hidden=32, epochs=8, batch_size=8, patience=0)
DISTILLED = DenseToSparseTraining(epochs=8, batch_size=16, learning_rate=0.02, patience=0, max_terms=6)


def features(seed: int, n: int = 60, has_texts: bool = True) -> EncodedSplit:
    """Pictures of one thing each; a vector is the sum of its words' directions, and noise."""
    directions = np.random.default_rng(99).standard_normal((len(COLOURS) + len(SHAPES), 24))
    rng = np.random.default_rng(seed)
    kinds = np.stack([rng.integers(len(COLOURS), size=n), len(COLOURS) + rng.integers(len(SHAPES), size=n)], axis=1)
    exact = directions[kinds].sum(axis=1)

    def noisy(values: Any) -> Any:
        values = values + 0.2 * rng.standard_normal(values.shape)
        return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)

    names = (*COLOURS, *SHAPES)
    captions = [told for a, b in kinds for told in (f"a {names[a]} {names[b]}", f"the {names[b]}, {names[a]}")]
    return EncodedSplit(noisy(exact), noisy(np.repeat(exact, 2, axis=0)) if has_texts else None, captions,
                    np.repeat(np.arange(n), 2))  # fmt: skip


TRAIN, DEV = features(0), features(1, 30)
VOCABULARY = TermVocabulary.fit(TRAIN.captions)


def silent(line: str) -> None:
    pass


def test_the_thesis_learns_which_words_a_picture_has() -> None:
    model, history = train_thesis(THESIS, BASE, VOCABULARY, TRAIN, DEV, measure, silent)
    assert len(history) == 8
    assert history[-1]["R@10"] > 0.8  # by chance it is 0.33
    assert {"R@1", "R@100", "MRR", "terms_per_image", "loss", "seconds"} <= set(history[0])
    assert (model.config.recipe, model.config.query) == ("thesis", "vocabulary")


def test_the_weight_of_present_words_adds_words_and_sparsity_removes_some() -> None:
    def n_words(**changed: float) -> float:
        recipe = replace(THESIS, epochs=1, **changed)  # type: ignore[arg-type]
        return train_thesis(recipe, BASE, VOCABULARY, TRAIN, DEV, measure, silent)[1][-1]["terms_per_image"]

    usual = n_words()
    assert n_words(positive_weight=200) > usual > n_words(positive_weight=1)
    assert n_words(sparsity=1.0) < usual


@pytest.mark.parametrize("query", ["words", "text", "expanded"])
def test_the_distilled_recipe_learns_what_finds_a_picture(query: str) -> None:
    own = replace(DISTILLED, query=query)
    model, history = train_dense_to_sparse(own, BASE, VOCABULARY, TRAIN, DEV, measure, silent)
    assert max(entry["R@10"] for entry in history) > 0.8
    assert np.diff(model.image_weights(DEV.images).indptr).max() <= 6
    if query != "expanded":
        assert history[-1]["terms_per_query"] <= 2


def test_a_stronger_regularisation_leaves_fewer_words() -> None:
    few, many = (
        train_dense_to_sparse(
            replace(DISTILLED, flops=weight, max_terms=0), BASE, VOCABULARY, TRAIN, DEV, measure, silent
        )[1][-1]["terms_per_image"]
        for weight in (0.5, 0.0)
    )
    assert few < many


def test_the_same_seed_gives_the_same_model() -> None:
    once, again = (
        train_dense_to_sparse(replace(DISTILLED, epochs=2), BASE, VOCABULARY, TRAIN, DEV, measure, silent)[0]
        for _ in range(2)
    )
    assert all(np.array_equal(once.heads[name], again.heads[name]) for name in once.heads)


def test_an_encoder_of_pictures_only_has_a_weight_for_each_word() -> None:
    train, dev = features(0, has_texts=False), features(1, 30, has_texts=False)
    model, history = train_dense_to_sparse(DISTILLED, BASE, VOCABULARY, train, dev, measure, silent)
    assert not model.needs_text_vectors
    assert max(entry["R@10"] for entry in history) > 0.7
    with pytest.raises(InputError, match="needs an encoder of texts"):
        train_dense_to_sparse(replace(DISTILLED, query="text"), BASE, VOCABULARY, train, dev, measure, silent)


def test_it_stops_early_and_keeps_the_best() -> None:
    mrrs, models = iter([0.1, 0.9, 0.2, 0.3, 0.4, 0.5]), []

    def judged(model: Any, _: EncodedSplit) -> dict[str, Any]:
        models.append(model)
        return {"MRR": next(mrrs)}

    lines: list[str] = []
    own = replace(THESIS, epochs=6, patience=2)
    best, history = train_thesis(own, BASE, VOCABULARY, TRAIN, DEV, judged, lines.append)
    assert len(history) == 4
    assert np.array_equal(best.heads["image.1.bias"], models[1].heads["image.1.bias"])
    assert "stopped early" in lines[-1]


def test_every_caption_is_once_in_an_epoch_and_no_picture_twice_in_a_batch() -> None:
    image_of = np.repeat(np.arange(23), [1 + i % 5 for i in range(23)])
    batches = _batches(image_of, 8, seed=0, epoch=0)
    rows = np.concatenate(batches)
    assert len(rows) == len(set(rows.tolist())) >= len(image_of) - 5  # a batch of one is left out, at most one a round
    assert all(len(set(image_of[batch].tolist())) == len(batch) > 1 for batch in batches)
    assert all(np.array_equal(a, b) for a, b in zip(batches, _batches(image_of, 8, 0, 0), strict=True))


def test_flops_is_the_expected_work_of_a_dot_product() -> None:
    assert flops(torch.tensor([[1.0, 0.0], [3.0, 1.0]])).item() == pytest.approx(4 + 0.25)


def test_a_teacher_that_agrees_costs_nothing() -> None:
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    assert matching_loss(scores, scores, 1.0).item() == pytest.approx(0, abs=1e-6)
    assert matching_loss(scores, -scores, 1.0).item() > 0
    assert matching_loss(scores, None, 0.7).item() == matching_loss(scores, scores, 0.0).item()


def test_splits_without_pictures_and_unknown_queries_are_refused() -> None:
    empty = EncodedSplit(TRAIN.images[:0], None, [], np.empty(0, np.int64))
    for train, dev, name in ((empty, DEV, "train"), (TRAIN, empty, "dev")):
        with pytest.raises(InputError, match=f"the {name} split has no pictures"):
            train_thesis(THESIS, BASE, VOCABULARY, train, dev, measure, silent)
    with pytest.raises(InputError, match="no queries of the kind 'loud': choose one of words, text, expanded"):
        train_dense_to_sparse(replace(DISTILLED, query="loud"), BASE, VOCABULARY, TRAIN, DEV, measure, silent)


def test_a_loss_that_is_not_finite_ends_the_run() -> None:
    broken = replace(TRAIN, images=np.full_like(TRAIN.images, np.nan))
    with pytest.raises(StateError, match="the loss is nan"):
        train_thesis(THESIS, BASE, VOCABULARY, broken, DEV, measure, silent)
