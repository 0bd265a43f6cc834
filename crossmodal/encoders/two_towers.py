"""What the encoders of the CLIP family share: pictures to unit vectors, the temperature, the precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossmodal.core.types import ModelSpec, Pixels, Vectors
from crossmodal.encoders.pixels import check_pixels, to_tensor
from crossmodal.encoders.weights import unit_rows


class TwoTowers:
    """A torch model with `encode_image` and `logit_scale`, in float32 unless `use_bf16` is called."""

    def __init__(self, spec: ModelSpec, model: Any) -> None:
        """Takes the model, ready to encode, and the spec of its weights."""
        import torch

        self.spec, self._model = spec, model
        self._torch, self._dtype = torch, torch.float32

    def use_bf16(self) -> None:
        """Computes in bfloat16 from now on: twice as fast where the processor can, a cosine off by 0.003 at most."""
        self._model.bfloat16()
        self._dtype = self._torch.bfloat16

    @property
    def logit_scale(self) -> float:
        """What the model multiplies a cosine with: exp of its learned temperature."""
        return float(self._model.logit_scale.detach().exp())

    def encode_images(self, pixels: Pixels) -> Vectors:
        """As `Encoder.encode_images`: (n, size_px, size_px, 3) uint8 to (n, dim) float32 of length 1."""
        check_pixels(pixels, self.spec.preprocessing.size_px)
        if len(pixels) == 0:
            return np.empty((0, self.spec.dim), np.float32)
        with self._torch.inference_mode():
            images = to_tensor(pixels, self.spec.preprocessing).to(self._dtype)
            return unit_rows(self._encoded(images).float().numpy())

    def _encoded(self, images: Any) -> Any:
        """(n, 3, size_px, size_px) to (n, dim), of any length."""
        return self._model.encode_image(images)
