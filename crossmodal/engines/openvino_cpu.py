"""Runs networks on the CPU with OpenVINO."""

from __future__ import annotations

import logging
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.engine import Precision
from crossmodal.core.files import write_atomically
from crossmodal.core.machine import CORES
from crossmodal.engines.openvino_offline import openvino

log = logging.getLogger(__name__)
_HEADER_BYTES = 64
STREAMS = 4
"""Most inferences at a time. Two of one thread each take a seventh less processor time than one of two threads."""
SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False, "SNIPPETS_MODE": "DISABLE"}
"""Other processes share the cores, so threads are not pinned to them. Snippets, OpenVINO's generated kernels of several
operations, are compiled anew for each shape of the input: for a text of a new length this takes four times as long as
encoding it. They made none of the networks measured faster."""

_conversion = threading.Lock()
"""Held while arrays and their types are converted to OpenVINO's and back. It can wait forever if two threads do so for
the first time together: it initializes variables under a lock, and meanwhile releases the interpreter's lock and waits
for it."""


class CompiledNetwork:
    """A network with one input and one output, compiled for this processor.

    Create it in the process that uses it: OpenVINO's threads do not survive a fork. Several threads can call it.
    """

    def __init__(
        self,
        network: Callable[[], openvino.Model | Path],
        threads: int | None,
        precision: Precision = "fp32",
        cache: Path | None = None,
        at_most: int | None = None,
    ) -> None:
        """Compiles a network.

        Args:
            network: Returns the network, or the path of its description (`.xml`) with its weights beside it.
            threads: Number of threads; None for all cores.
            precision: The arithmetic of operations that are not quantized is bfloat16 for `bf16`, else float32.
            cache: The file of the compiled network, which is read if it exists and is whole, else written. Compiling a
                quantized network takes four times as long as reading it. Its name must depend on the network and on
                the processor.
            at_most: Most rows of an inference. Longer inputs are split, and up to `STREAMS` of their inferences run at
                a time, each with its share of the threads. None computes each input in one inference with all threads.

        Raises:
            RuntimeError: A file is missing or damaged, or the network can't be compiled.
        """
        config: dict[str, Any] = {
            **SETTINGS,
            "NUM_STREAMS": min(threads or CORES, STREAMS) if at_most else 1,
            "INFERENCE_NUM_THREADS": threads or CORES,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }
        compiled, self._memory = _from_cache(cache, config)
        if compiled is None:
            compiled = openvino.Core().compile_model(network(), "CPU", config)
            _write_cache(cache, compiled)
        self._at_most = at_most
        with _conversion:
            self._type = compiled.input(0).element_type.to_dtype()
        self._request = compiled.create_infer_request()
        self._one_request = threading.Lock()
        self._of_thread = of_thread = threading.local()

        def start() -> None:  # refers to nothing that would keep this object, and with it the threads
            with _conversion:
                of_thread.request = compiled.create_infer_request()

        self._streams = ThreadPoolExecutor(config["NUM_STREAMS"], initializer=start)

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The output for an input; the lengths of dynamic axes may differ between calls."""
        values = np.require(values, self._type, ["C", "W"])  # a tensor can't share other memory
        step = self._at_most or len(values)
        if len(values) <= step:
            with self._one_request:
                return _inferred(self._request, values)
        parts = (values[start : start + step] for start in range(0, len(values), step))
        return np.concatenate(list(self._streams.map(self._infer, parts)))

    def _infer(self, values: NDArray[Any]) -> NDArray[np.float32]:
        return _inferred(self._of_thread.request, values)


def _inferred(request: openvino.InferRequest, values: NDArray[Any]) -> NDArray[np.float32]:
    """The output for an input."""
    with _conversion:  # `start_async` with the values takes 0.08 ms longer, of 2 for a text
        request.set_input_tensor(openvino.Tensor(values, shared_memory=True))
        request.start_async()
    request.wait()
    with _conversion:
        output: NDArray[np.float32] = request.get_output_tensor().data.copy()
    return output


def _from_cache(cache: Path | None, config: dict[str, Any]) -> tuple[Any, NDArray[np.uint8] | None]:
    """The compiled network in a file, and the memory that it may refer to; None if there is none that is whole."""
    try:
        content = np.memmap(cache, np.uint8, "c") if cache else np.empty(0, np.uint8)
    except (OSError, ValueError):  # missing, or empty
        return None, None
    if bytes(content[:_HEADER_BYTES]) != _header(content[_HEADER_BYTES:].data):
        return None, None
    try:
        blob = openvino.Tensor(content[_HEADER_BYTES:], shared_memory=True)
        return openvino.Core().import_model(blob, "CPU", config), content
    except RuntimeError as error:  # of another version of OpenVINO
        log.debug("%s is compiled anew: %s", cache, error)
        return None, None


def _write_cache(cache: Path | None, compiled: Any) -> None:
    if cache is None:
        return
    exported = compiled.export_model()
    blob = exported if isinstance(exported, bytes) else exported.getvalue()
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, _header(memoryview(blob)) + blob)
    except OSError as error:
        log.info("the compiled network is not kept, so the next start takes longer: %s", error)


def _header(blob: memoryview) -> bytes:
    """What precedes a compiled network in its file, to recognize a damaged one and one of other settings."""
    checksum = zlib.crc32(blob, zlib.crc32(repr(SETTINGS).encode()))
    return b"crc32 %08x" % checksum + bytes(_HEADER_BYTES - 14)
