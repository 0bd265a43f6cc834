"""The shared part of all encoders in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from crossmodal.core.engine import Engine
from crossmodal.core.errors import InputError
from crossmodal.core.types import Modality, ModelSpec, Pixels, Vectors
from crossmodal.encoders.pixels import check_pixels, normalised, statistics
from crossmodal.encoders.weights import unit_rows

if TYPE_CHECKING:
    from crossmodal.engines.torch_device import Inputs


class TorchEncoder:
    """Encodes images by `image_vectors`, which a subclass defines, on the device and in the precision of an engine."""

    image_group: int = 32
    """Most images per forward pass on the CPU."""

    def __init__(self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None, engine: Engine) -> None:
        """Stores the arguments; `threads` None keeps torch's default."""
        import torch

        from crossmodal.engines.torch_device import TowerRunner

        if threads:
            torch.set_num_threads(threads)
        self.spec, self.towers, self.engine = spec, towers, engine
        self._runner = TowerRunner(engine, str(spec))

    @property
    def image_module(self) -> Any:
        """The torch module of the image tower, whose inner layers `image_vectors` runs."""
        raise NotImplementedError

    def image_vectors(self, images: Any) -> Any:
        """Normalised images (n, 3, size_px, size_px) to vectors (n, dim), not normalised."""
        raise NotImplementedError

    def run_images(self, pixels: Pixels, encode: Callable[[Any], Any], on_cpu: int | None = None) -> Vectors:
        """What `encode` makes of normalised images, (n, dim) float32, as it returns it; n >= 1.

        Args:
            pixels: (n, size_px, size_px, 3) uint8.
            encode: From (m, 3, size_px, size_px) on the model's device to (m, dim).
            on_cpu: Images per forward pass on the CPU; None for all.
        """
        check_pixels(pixels, self.spec.preprocessing.size_px)
        return self._runner.run(self._normalising(encode), len(pixels), lambda part: (pixels[part],), on_cpu)

    def encode_images(self, pixels: Pixels) -> Vectors:
        """As `Encoder.encode_images`: (n, size_px, size_px, 3) uint8 to unit vectors (n, dim) float32."""
        check_pixels(pixels, self.spec.preprocessing.size_px)
        self._check_has("image")
        encode = self._normalising(self.image_vectors)
        return self._unit_vectors(encode, len(pixels), lambda part: (pixels[part],), self.image_group)

    def _normalising(self, encode: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda batch: encode(normalised(batch, *self._mean_and_std).to(self._runner.dtype))

    def _place(self, module: Any) -> Any:
        """As `TowerRunner.place`; called once for each module of the model."""
        placed = self._runner.place(module)
        self._mean_and_std = statistics(self.spec.preprocessing, self._runner.device)
        return placed

    def _check_has(self, tower: Modality) -> None:
        if tower not in self.towers:
            raise ValueError(f"the encoder was loaded without its {tower} tower")

    def _unit_vectors(self, encode: Callable[..., Any], n: int, inputs: Inputs, on_cpu: int | None = None) -> Vectors:
        """`TowerRunner.run` for n >= 0 items, with normalised rows.

        Raises:
            InputError: The model overflows in fp16.
            StateError: As `TowerRunner.run`.
        """
        if n == 0:
            return np.empty((0, self.spec.dim), np.float32)
        vectors = self._runner.run(encode, n, inputs, on_cpu)
        if self.engine.precision == "fp16" and not np.isfinite(vectors).all():
            raise InputError(f"{self.spec} overflows in fp16: use --precision bf16 or fp32")
        return unit_rows(vectors)
