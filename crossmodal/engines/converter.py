"""Converts torch modules to networks of OpenVINO."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from crossmodal.engines.openvino_offline import openvino  # before the converter, so that its telemetry is off

# isort: split
from openvino.tools.ovc import convert_model


def from_torch(module: nn.Module, example: Tensor, is_fixed_length: bool) -> openvino.Model:
    """The network of a module with one input, whose first axis may have any length.

    Args:
        module: The module, in float32 on the CPU.
        example: An input, to trace the module with.
        is_fixed_length: Whether the second axis of an input of two axes has the length of the example.

    Raises:
        Exception: The module has an operation that can't be traced or converted; of many types.
    """
    # A trace that is wrong for other inputs shows in the comparison with torch. The filter stays, since
    # `warnings.catch_warnings` is not thread-safe.
    warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
    with _attention_to_trace(), torch.no_grad():
        network = convert_model(module.eval(), example_input=example)
    shape = list(example.shape)
    network.reshape([-1, -1 if example.dim() == 2 and not is_fixed_length else shape[1], *shape[2:]])
    return network


@contextmanager
def _attention_to_trace() -> Iterator[None]:
    """Replaces the forms of torch's attention that can't be traced, or whose trace is slow, for the block.

    The fused attention of the fast path can't be traced. The other form transposes its input and its output, which
    makes encoding a text with ViT-B-32 take 1.15 times as long.
    """
    is_fast, forward = torch.backends.mha.get_fastpath_enabled(), nn.MultiheadAttention.forward

    @wraps(forward)
    def attended(self: nn.MultiheadAttention, *args: Any, **options: Any) -> tuple[Tensor, Tensor | None]:
        if not _is_plain(self, args, options):
            return forward(self, *args, **options)
        x, length = args[0], args[0].shape[1]
        parts = functional.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        q, k, v = (part.view(-1, length, self.num_heads, self.head_dim).transpose(1, 2) for part in parts)
        found = functional.scaled_dot_product_attention(q, k, v, options.get("attn_mask"))
        return self.out_proj(found.transpose(1, 2).flatten(2)), None

    torch.backends.mha.set_fastpath_enabled(False)
    nn.MultiheadAttention.forward = attended  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fast)
        nn.MultiheadAttention.forward = forward  # type: ignore[method-assign]


def _is_plain(module: nn.MultiheadAttention, inputs: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether a call is attention of (n, length, width) to itself, with at most a mask that is added."""
    mask = options.get("attn_mask")
    return (
        len(inputs) == 3
        and inputs[0] is inputs[1] is inputs[2]
        and inputs[0].dim() == 3
        and options.keys() <= {"need_weights", "attn_mask"}
        and not options.get("need_weights", True)
        and (mask is None or (mask.is_floating_point() and mask.dim() == 2))
        and module.batch_first
        and module.bias_k is None
        and not module.add_zero_attn
    )
