"""The computations of a training step of the `photos` weights: the image tower's back, text vectors, and losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_input

from crossmodal.encoders.photo_model import PhotoModel
from crossmodal.encoders.photo_towers import Block, Convolution, EfficientNetLite, mean_of_tokens, run_layers
from crossmodal.training.photos_texts import TextBank
from crossmodal.training.photos_views import FRONT_BLOCKS

BRANCH_DROPOUT = 0.1
TEXT_GROUP = 64


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution with frozen weights, whose backward pass is a convolution too.

    PyTorch's backward pass takes ten times as long on a CPU in bfloat16.
    """

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        context.save_for_backward(weight)
        context.stride, context.padding, context.shape = stride, padding, x.shape
        return functional.conv2d(x, weight, bias, stride, padding, 1, x.shape[1])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, None, None]:
        (weight,) = context.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        n_channels = gradient.shape[1]
        if context.stride == 1:
            of_input = functional.conv2d(gradient, weight.flip(2, 3), None, 1, context.padding, 1, n_channels)
        else:
            of_input = conv2d_input(  # type: ignore[no-untyped-call]
                context.shape, weight, gradient, context.stride, context.padding, 1, n_channels
            )
        return of_input, None, gradient.sum((0, 2, 3)), None, None


def _convolve(unit: Convolution, x: Tensor) -> Tensor:
    weight = unit.weight if unit.gain is None else unit.weight * unit.gain[:, None, None, None]
    if unit.kernel == 1:
        y = functional.linear(x.permute(0, 2, 3, 1), weight.flatten(1), unit.bias).permute(0, 3, 1, 2)
    else:
        padding = unit.kernel // 2
        if unit.stride > 1:  # 14 to 7 positions, padded as in `Convolution`
            x, padding = functional.pad(x, [padding - 1, padding, padding - 1, padding]), 0
        kernel = weight.detach().to(x.dtype)
        y = _Depthwise.apply(x, kernel, unit.bias.to(x.dtype), unit.stride, padding)  # type: ignore[no-untyped-call]
    return functional.relu6(y) if unit.clip else y


def back_features(tower: EfficientNetLite, front: Tensor) -> Tensor:
    """Features (n, 1280) of the front's output (n, 80, 14, 14), computed by the rest of the tower in bfloat16."""
    x = front.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        x = x.bfloat16()
        for block in tower.blocks[FRONT_BLOCKS:]:
            assert isinstance(block, Block)
            y = x if block.expand is None else _convolve(block.expand, x)
            y = _convolve(block.project, _convolve(block.depthwise, y))
            x = x + y if block.residual else y
        x = _convolve(tower.head, x)
    return x.float().mean((2, 3))


def text_vectors(model: PhotoModel, bank: TextBank, numbers: Sequence[int]) -> Tensor:
    """Vectors (n, dim) of texts of a bank, computed in groups of similar length, the branch in bfloat16."""
    lengths = bank.offsets[1:] - bank.offsets[:-1]
    order = np.argsort(lengths[list(numbers)], kind="stable")
    parts = []
    for start in range(0, len(order), TEXT_GROUP):
        group = [numbers[place] for place in order[start : start + TEXT_GROUP]]
        states, present = bank.batch(group)
        with torch.autocast("cpu", torch.bfloat16):
            after = run_layers(model.branch, states, present, BRANCH_DROPOUT if model.training else 0.0)
        parts.append(mean_of_tokens(after.float(), present))
    trained = torch.cat(parts)[torch.from_numpy(np.argsort(order))]
    return model.text_vectors(bank.pooled[list(numbers)], trained)


def contrastive(images: Tensor, texts: Tensor, positive: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE in both directions, with the target of each row and column spread evenly over its positives.

    Args:
        images: (n, dim) unit vectors.
        texts: (m, dim) unit vectors.
        positive: (n, m), 1 where image and text match, at least once in each row and column.
        scale: Scalar, the inverse temperature.
    """
    scores = scale * images @ texts.T
    of_images = positive / positive.sum(1, keepdim=True)
    of_texts = positive / positive.sum(0, keepdim=True)
    rows = -(of_images * scores.log_softmax(1)).sum(1).mean()
    columns = -(of_texts * scores.log_softmax(0)).sum(0).mean()
    return (rows + columns) / 2


def distillation(model: PhotoModel, features: Tensor, published: Tensor) -> Tensor:
    """The distance of features and their class predictions from those of the published tower, a scalar."""
    temperature = model.shape.class_temperature
    classifier = model.image_tower.classifier
    target = (classifier(published) / temperature).softmax(-1)
    predicted = (classifier(features) / temperature).log_softmax(-1)
    distance = 1 - functional.cosine_similarity(features, published).mean()
    return functional.kl_div(predicted, target, reduction="batchmean") + distance


def synthetic_features(features: Tensor, class_weights: Tensor, chance: torch.Generator) -> Tensor:
    """Synthetic features of classes: features of any images, scaled down and shifted along the classifier's weights.

    Args:
        features: (n, 1280) of any images.
        class_weights: (n, 1280), the classifier's row of each class.
        chance: Draws the scale and the size of the shift.

    Returns:
        (n, 1280), of the same length as `features`.
    """
    length = features.norm(dim=1, keepdim=True)
    kept = torch.empty_like(length).uniform_(0.2, 0.8, generator=chance)
    pushed = torch.empty_like(length).uniform_(0.25, 1.0, generator=chance)
    shifted = (kept * features + pushed * length * functional.normalize(class_weights, dim=1)).clamp(0, 6)
    scaled: Tensor = shifted * (length / shifted.norm(dim=1, keepdim=True))
    return scaled


class Rate:
    """A learning-rate schedule: a linear warm-up over a tenth of the steps, then a cosine to zero."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps, self.step = n_steps, 0

    def share(self) -> float:
        """The factor of the peak learning rate at the current step, 0 to 1."""
        warm = max(1, self.n_steps // 10)
        if self.step < warm:
            return (self.step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (self.step - warm) / max(1, self.n_steps - warm)))
