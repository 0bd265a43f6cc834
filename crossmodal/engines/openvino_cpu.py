"""Runs networks on the CPU with OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.engine import Precision
from crossmodal.engines.openvino_offline import openvino


class CompiledNetwork:
    """A network with one input and one output, compiled for this processor.

    Create it in the process that uses it: OpenVINO's threads do not survive a fork.
    """

    def __init__(self, network: openvino.Model | Path, threads: int | None, precision: Precision = "fp32") -> None:
        """Compiles a network.

        Args:
            network: The network, or the path of its description (`.xml`) with its weights beside it.
            threads: Number of threads of an inference; None for all cores. Other processes share the cores, so
                threads are not pinned to them.
            precision: The arithmetic of operations that are not quantized is bfloat16 for `bf16`, else float32.

        Raises:
            RuntimeError: A file is missing or damaged, or the network can't be compiled.
        """
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "ENABLE_CPU_PINNING": False,
        }
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        self._request = openvino.Core().compile_model(network, "CPU", config).create_infer_request()

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The output for an input; the lengths of dynamic axes may differ between calls."""
        output: NDArray[np.float32] = self._request.infer([values], share_inputs=True)[0]
        return output
