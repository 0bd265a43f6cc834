"""The photometric part of preprocessing, shared by all families: pixels to normalised tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossmodal.core.types import Pixels, Preprocessing


def check_pixels(pixels: Pixels, size_px: int) -> None:
    """Checks the shape and type of pixels, which `images.geometry.fit` returns.

    Raises:
        ValueError: The shape is not (n, size_px, size_px, 3), or the type is not uint8.
    """
    if pixels.shape[1:] != (size_px, size_px, 3) or pixels.dtype != np.uint8:
        raise ValueError(f"expected (n, {size_px}, {size_px}, 3) uint8, found {pixels.shape} {pixels.dtype}")


def to_tensor(pixels: Pixels, preprocessing: Preprocessing) -> Any:
    """(n, size, size, 3) uint8 to a torch tensor (n, 3, size, size) float32, normalised with mean and std.

    Bit-identical to torchvision's `ToTensor` and `Normalize`.
    """
    import torch

    batch = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float().div_(255)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    return batch.sub_(mean).div_(std)


def channels_last(image_tower: Any) -> Any:
    """The image tower with convolution weights in channels-last order; results are equal except for rounding.

    Takes two thirds of the time for ResNet-50, VGG16 and EfficientNet, four fifths for the small CLIP, and the same
    time for a ViT.
    """
    import torch

    return image_tower.to(memory_format=torch.channels_last)
