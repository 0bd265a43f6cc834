"""The device that trains, CPU or CUDA, and the precision of its matrix products."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from crossmodal.core.machine import CORES
from crossmodal.core.types import Preprocessing


@dataclass(frozen=True)
class Device:
    """A torch device, and whether its matrix products are computed in bfloat16."""

    device: torch.device
    is_bf16: bool

    @classmethod
    def here(cls, is_bf16: bool | None = None) -> Device:
        """The first CUDA device, or the CPU without one; `is_bf16` None is True on CUDA only."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return cls(device, device.type == "cuda" if is_bf16 is None else is_bf16)

    @property
    def n_workers(self) -> int:
        """Processes that load batches: 1 if the CPU trains, else one per core, at most 16."""
        return 1 if self.device.type == "cpu" else min(16, CORES)

    def autocast(self) -> AbstractContextManager[object]:
        """The context for the forward pass of a tower."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_bf16)

    def normalised(self, pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
        """(n, 3, side, side) uint8 to float32 on the device, normalised with the model's mean and std."""
        mean = torch.tensor(preprocessing.mean, device=self.device).view(1, 3, 1, 1) * 255
        std = torch.tensor(preprocessing.std, device=self.device).view(1, 3, 1, 1) * 255
        images = (pixels.to(self.device, non_blocking=True).float() - mean) / std
        return images.contiguous(memory_format=torch.channels_last)
