"""The shared part of the CLIP family's encoders: image encoding, temperature and precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossmodal.core.types import ModelSpec, Pixels, Vectors
from crossmodal.encoders.pixels import check_pixels, to_tensor
from crossmodal.encoders.weights import unit_rows


class TwoTowers:
    """A torch model with `encode_image` and `logit_scale`, in float32 unless `use_bf16` is called."""

    def __init__(self, spec: ModelSpec, model: Any) -> None:
        """Stores a model in evaluation mode and the spec of its weights."""
        import torch

        self.spec, self._model = spec, model
        self._torch, self._dtype = torch, torch.float32

    def use_bf16(self) -> None:
        """Switches to bfloat16: twice as fast on processors with support for it; cosines change by at most 0.003."""
        self._model.bfloat16()
        self._dtype = self._torch.bfloat16

    @property
    def logit_scale(self) -> float:
        """The learned inverse temperature, which multiplies a cosine."""
        return float(self._model.logit_scale.detach().exp())

    def encode_images(self, pixels: Pixels) -> Vectors:
        """As `Encoder.encode_images`: (n, size_px, size_px, 3) uint8 to unit vectors (n, dim) float32."""
        check_pixels(pixels, self.spec.preprocessing.size_px)
        if len(pixels) == 0:
            return np.empty((0, self.spec.dim), np.float32)
        with self._torch.inference_mode():
            images = to_tensor(pixels, self.spec.preprocessing).to(self._dtype)
            return unit_rows(self._encoded(images).float().numpy())

    def _encoded(self, images: Any) -> Any:
        """(n, 3, size_px, size_px) to vectors (n, dim), not normalised."""
        return self._model.encode_image(images)
