"""Modules that are made to be loaded."""

from __future__ import annotations

import torch

from crossmodal.encoders import registry
from crossmodal.encoders.weights import unfilled


def test_no_random_number_is_drawn_for_weights_that_are_loaded() -> None:
    spec = registry.resolve("vse", registry.SCENES)
    before = torch.get_rng_state()
    registry.load(spec)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_made_elsewhere_is_filled() -> None:
    before = torch.get_rng_state()
    with unfilled():
        torch.nn.Linear(8, 8)
        torch.nn.Embedding(8, 8)
        torch.nn.Conv2d(8, 8, 3)
        torch.nn.GRU(8, 8)
        torch.nn.MultiheadAttention(8, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert 0 < torch.nn.Linear(8, 8).weight.abs().max() <= 8**-0.5
    assert not torch.equal(torch.get_rng_state(), before)
