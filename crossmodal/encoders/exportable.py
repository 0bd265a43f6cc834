"""Towers as torch modules from raw inputs to vectors, in a form that OpenVINO's converter can trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from crossmodal.core.types import Preprocessing


class TorchTower(NamedTuple):
    """A tower as a torch module, with an example input.

    An image tower takes pixels (n, size_px, size_px, 3) uint8. A text tower takes token ids (n, length) int64;
    `is_fixed_length` says whether only the length of the example is possible.
    """

    module: nn.Module
    example: Tensor
    is_fixed_length: bool = False


def image_tower(tower: nn.Module, encode: Callable[[Tensor], Tensor], preprocessing: Preprocessing) -> TorchTower:
    """A tower of a model; the arguments are those of `FromPixels`."""
    size_px = preprocessing.size_px
    return TorchTower(FromPixels(tower, encode, preprocessing), torch.zeros(2, size_px, size_px, 3, dtype=torch.uint8))


class FromPixels(nn.Module):
    """An image tower from pixels (n, size_px, size_px, 3) uint8; scales them as `pixels.to_tensor` does."""

    def __init__(self, tower: nn.Module, encode: Callable[[Tensor], Tensor], preprocessing: Preprocessing) -> None:
        """Stores the module that owns the weights, its function from (n, 3, size_px, size_px), and the statistics."""
        super().__init__()
        self.tower, self._encode = tower, encode
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(preprocessing, name)).view(1, 3, 1, 1) * 255)

    def forward(self, pixels: Tensor) -> Tensor:
        """Vectors (n, dim), not normalised."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        return self._encode((pixels.permute(0, 3, 1, 2).float() - mean) / std)


class FromIds(nn.Module):
    """A text tower of CLIP from token ids (n, length)."""

    def __init__(self, tower: nn.Module, encode: Callable[[Tensor], Tensor]) -> None:
        """Stores the module that owns the weights, and its function from token ids to vectors."""
        super().__init__()
        self.tower, self._encode = tower, encode

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors (n, dim), not normalised."""
        return self._encode(ids)


class RecurrentText(nn.Module):
    """The text tower of VSE++, from word ids (n, length), padded with 0.

    A GRU reads forwards, so that its state after the last word of a text does not depend on the padding.
    """

    def __init__(self, tower: Any) -> None:
        """Stores a `vse_towers.TextTower`."""
        super().__init__()
        self.tower = tower

    def forward(self, ids: Tensor) -> Tensor:
        """Unit vectors (n, dim)."""
        states, _ = self.tower.rnn(self.tower.embed(ids))
        last = (ids != 0).sum(dim=1) - 1
        state = states.gather(1, last.view(-1, 1, 1).expand(-1, 1, states.shape[2]))[:, 0]
        vectors: Tensor = self.tower.joint(state)
        return vectors
