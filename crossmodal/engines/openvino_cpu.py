"""Runs networks on the CPU in float32 with OpenVINO."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.engines.openvino_offline import openvino


class CompiledNetwork:
    """A network with one input and one output, compiled for this processor.

    Create it in the process that uses it: OpenVINO's threads do not survive a fork.
    """

    def __init__(self, network: Any, threads: int | None) -> None:
        """Compiles an `openvino.Model`; `threads` is the number of threads of an inference, None for all cores.

        Other processes of a Flow share the cores, so threads are not pinned to them.
        """
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",  # by default bfloat16 where the processor has it
            "ENABLE_CPU_PINNING": False,
        }
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        self._request = openvino.Core().compile_model(network, "CPU", config).create_infer_request()

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The output for an input; the lengths of dynamic axes may differ between calls."""
        output: NDArray[np.float32] = self._request.infer([values], share_inputs=True)[0]
        return output
