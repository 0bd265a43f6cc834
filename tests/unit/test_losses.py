"""Losses against values worked out by hand."""

import math

import pytest
import torch

from crossmodal.training.losses import contrastive_with_twins, fact_loss, multi_positive, twin_loss

EYE = torch.eye(2)
ONE = torch.tensor(1.0)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_contrastive_with_nothing_learned() -> None:
    same = torch.ones(2, 1)
    loss = contrastive_with_twins(same, same, same, ONE)
    # Image to text among 2 + 2 texts, text to image among 2 images, own caption against one false one.
    assert loss.item() == pytest.approx((math.log(4) + math.log(2)) / 2 + 0.5 * math.log(2))


def test_contrastive_by_hand() -> None:
    loss = contrastive_with_twins(EYE, EYE, torch.zeros(2, 2), torch.tensor(3.0))
    e = math.exp(3)
    to_text, to_image, own = math.log((e + 3) / e), math.log((e + 1) / e), math.log((e + 1) / e)
    assert loss.item() == pytest.approx((to_text + to_image) / 2 + 0.5 * own)


def test_contrastive_with_fewer_captions_than_images() -> None:
    loss = contrastive_with_twins(torch.ones(3, 1), torch.ones(2, 1), torch.ones(2, 1), ONE)
    assert loss.item() == pytest.approx((math.log(4) + math.log(3)) / 2 + 0.5 * math.log(2))


def test_contrastive_falls_to_zero_and_minds_the_false_texts() -> None:
    far = contrastive_with_twins(EYE, EYE, -EYE, torch.tensor(100.0))
    near = contrastive_with_twins(EYE, EYE, EYE, torch.tensor(100.0))
    assert far.item() == pytest.approx(0, abs=1e-6)
    assert near.item() == pytest.approx(math.log(2) / 2 + 0.5 * math.log(2), rel=1e-4)


def test_contrastive_sends_its_gradient_everywhere() -> None:
    parts = [torch.randn(3, 4, requires_grad=True) for _ in range(3)]
    contrastive_with_twins(*parts, ONE).backward()
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in parts)


def test_multi_positive_with_one_positive_each_is_cross_entropy() -> None:
    loss = multi_positive(EYE, EYE, torch.eye(2, dtype=torch.bool), ONE)
    assert loss.item() == pytest.approx(math.log((math.e + 1) / math.e))


def test_multi_positive_averages_over_positives() -> None:
    """Two texts, both true of both images; only the first text is near the first image."""
    loss = multi_positive(EYE, torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.ones(2, 2, dtype=torch.bool), ONE)
    uneven = (-math.log(math.e / (math.e + 1)) - math.log(1 / (math.e + 1))) / 2
    assert loss.item() == pytest.approx((uneven + math.log(2)) / 2)


def test_multi_positive_takes_more_texts_than_images() -> None:
    is_true = torch.tensor([[True, False], [False, True], [True, True]])
    loss = multi_positive(torch.zeros(2, 2), torch.zeros(3, 2), is_true, ONE)
    assert loss.item() == pytest.approx((math.log(2) + math.log(3)) / 2)


def test_a_text_that_is_true_of_nothing_only_stands_against_the_others() -> None:
    is_true = torch.tensor([[True, False], [False, True], [False, False]])
    loss = multi_positive(torch.zeros(2, 2), torch.zeros(3, 2), is_true, ONE)
    assert loss.item() == pytest.approx((math.log(2) + math.log(3)) / 2)


def test_fact_loss_by_hand() -> None:
    """Two things and two kinds of facts, of two and three values; nothing is told of the second thing."""
    logits = torch.tensor([[1.0, 0.0, 0.0, 0.0, 2.0], [9.0, -9.0, 9.0, -9.0, 9.0]])
    targets = torch.tensor([[0, 2], [-1, -1]])
    expected = softplus(-1.0) + math.log((math.exp(2) + 2) / math.exp(2))
    assert fact_loss(logits, targets, (2, 3)).item() == pytest.approx(expected)
    assert fact_loss(logits, torch.full((2, 2), -1), (2, 3)).item() == 0


def test_twin_loss_by_hand() -> None:
    true_facts = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    false_facts = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    true = torch.tensor([[2.0, -1.0, 9.0], [5.0, 0.5, 5.0]])
    false = torch.tensor([[0.5, 1.0, -9.0], [-5.0, 1.0, -5.0]])
    expected = (softplus(-1.5) + softplus(-2.0) + softplus(0.5)) / 2
    assert twin_loss(true, false, true_facts, false_facts).item() == pytest.approx(expected)


def test_twin_loss_of_equal_facts_is_zero() -> None:
    facts = torch.ones(2, 3)
    assert twin_loss(torch.randn(2, 3), torch.randn(2, 3), facts, facts).item() == 0
