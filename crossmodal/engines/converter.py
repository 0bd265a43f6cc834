"""Converts torch modules to networks of OpenVINO."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from crossmodal.engines.openvino_offline import openvino  # before the converter, so that its telemetry is off

# isort: split
from openvino.tools.ovc import convert_model


def from_torch(module: nn.Module, example: Tensor, is_fixed_length: bool) -> openvino.Model:
    """The network of a module with one input and one output, whose first axis may have any length.

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
    # The fused attention of torch's fast path can't be traced.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            network = convert_model(module.eval(), example_input=example)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    shape = list(example.shape)
    network.reshape([-1, -1 if example.dim() == 2 and not is_fixed_length else shape[1], *shape[2:]])
    return network
