"""Networks that are traced from torch compute what torch does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from crossmodal.engines.converter import from_torch
from crossmodal.engines.openvino_cpu import CompiledNetwork

WIDTH, LENGTH = 8, 5
LATER = torch.ones(LENGTH, LENGTH).triu(1)


class Attention(nn.Module):
    """Attention of (n, LENGTH, WIDTH) to itself, or to its reverse."""

    def __init__(self, options: dict[str, Any], is_cross: bool = False, **of_module: Any) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, **of_module)
        self.options, self.is_cross = options, is_cross

    def forward(self, x: Tensor) -> Tensor:
        other = x.flip(1) if self.is_cross else x
        found, weights = self.attention(x, other, other, **self.options)
        vectors: Tensor = (found if weights is None else found + weights.sum()).mean(1)
        return vectors


@pytest.mark.parametrize(
    "module",
    [
        Attention({"need_weights": False}, batch_first=True),
        Attention({"need_weights": False, "attn_mask": LATER * -1e9}, batch_first=True),
        Attention({"need_weights": False, "attn_mask": LATER.bool()}, batch_first=True),
        Attention({"need_weights": False}, is_cross=True, batch_first=True),
        Attention({"need_weights": False}, batch_first=True, add_bias_kv=True),
        Attention({}, batch_first=True),
        Attention({"need_weights": False}),
    ],
)
def test_attention(module: nn.Module) -> None:
    forward = nn.MultiheadAttention.forward
    x = torch.rand(3, LENGTH, WIDTH, generator=torch.Generator().manual_seed(0))
    network = CompiledNetwork(lambda: from_torch(module, x, is_fixed_length=True), 1)
    assert nn.MultiheadAttention.forward is forward
    with torch.no_grad():
        np.testing.assert_allclose(network(x.numpy()), module(x).numpy(), atol=1e-5)
