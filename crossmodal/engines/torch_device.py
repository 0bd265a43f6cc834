"""Runs towers in torch on the CPU, on CUDA or on an Apple GPU."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crossmodal.core.engine import Engine, Precision
from crossmodal.core.errors import StateError
from crossmodal.core.types import Vectors
from crossmodal.engines.devices import GPU_BATCH

log = logging.getLogger(__name__)

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BYTES_PER_ITEM = 32 << 20
"""Upper estimate of a forward pass's memory per image or text: that of SigLIP SO400M at 384 px in float32."""

Inputs = Callable[[slice], tuple[NDArray[Any], ...]]
"""The inputs of a part of the items, as arrays of uint8 or int64 with one row per item."""


class TowerRunner:
    """Forward passes of a model on a device.

    On a GPU, a batch has at most `GPU_BATCH` items, and only as many as the free memory has room for by the estimate
    `BYTES_PER_ITEM`. If the memory does not suffice, the size of a batch is halved for the rest of the process. On
    CUDA, inputs are copied from pinned memory while earlier batches are computed.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        """`name` is that of the model, for messages."""
        self.device, self.dtype, self._name = torch.device(engine.device), DTYPES[engine.precision], name
        self.batch_size: int | None = None
        self._has_warned = False
        self._one_run = threading.Lock()  # several would share the cores, and need the memory of all

    def place(self, module: nn.Module) -> Any:
        """Moves a module to the device and to the precision, and returns it.

        Raises:
            StateError: The weights don't fit in the memory of the device.
        """
        try:
            module.to(self.device, self.dtype)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            raise StateError(self._too_large("its weights do")) from error
        if self.device.type != "cpu":
            self.batch_size = batch_for(free_bytes(self.device))
        return module

    def run(self, encode: Callable[..., Tensor], n: int, inputs: Inputs, on_cpu: int | None = None) -> Vectors:
        """The vectors (n, dim) float32 of n >= 1 items, in order and not normalised.

        Args:
            encode: From a batch's inputs, as tensors on the device, to its vectors (batch, dim) in any precision.
            n: The number of items.
            inputs: Called for each batch; again for a part of it if the memory does not suffice.
            on_cpu: Items per batch on the CPU; None for all in one batch.

        Raises:
            StateError: The memory of the device does not suffice for one item.
        """
        parts: list[Tensor] = []
        with self._one_run, torch.inference_mode():
            size, start = self.batch_size or on_cpu or n, 0
            while start < n:
                part = slice(start, min(start + size, n))
                vectors = self._vectors(encode, inputs(part))
                if vectors is None:
                    size = self._halved(part.stop - part.start)
                else:
                    parts.append(vectors)
                    start = part.stop
            return np.asarray(torch.cat(parts).cpu().numpy(), np.float32)

    def _vectors(self, encode: Callable[..., Tensor], inputs: tuple[NDArray[Any], ...]) -> Tensor | None:
        """The vectors of a batch; None if the memory does not suffice."""
        try:
            return encode(*map(self._on_device, inputs)).float()
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            return None  # not retried here, because the exception keeps the tensors of the forward pass in memory

    def _on_device(self, values: NDArray[Any]) -> Tensor:
        is_cuda = self.device.type == "cuda"
        dtype = torch.uint8 if values.dtype == np.uint8 else torch.int64
        staged = torch.empty(values.shape, dtype=dtype, pin_memory=is_cuda)
        staged.numpy()[...] = values
        return staged.to(self.device, non_blocking=is_cuda)

    def _halved(self, size: int) -> int:
        if size == 1:
            raise StateError(self._too_large("a single image or text does"))
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "%s: batches of %d do not fit in the memory of %s: using smaller", self._name, size, self.device
            )
        self.batch_size = size // 2
        return self.batch_size

    def _too_large(self, what: str) -> str:
        return (
            f"{self._name}: {what} not fit in the memory of {self.device}: stop other programs that use the "
            "device, or use --device cpu"
        )


def batch_for(n_bytes: int) -> int:
    """The items of a batch for a number of free bytes: a power of two from 1 to `GPU_BATCH`."""
    n_items = max(1, min(GPU_BATCH, n_bytes // BYTES_PER_ITEM))
    return 1 << (n_items.bit_length() - 1)


def free_bytes(device: torch.device) -> int:
    """The free memory of a GPU."""
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return torch.cuda.mem_get_info(device)[0]


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says so by its type, or as MPS and pinned memory do, by its message."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)
