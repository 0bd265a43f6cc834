"""What a step of training the `photos` weights computes: the trainable back of the image tower, and the losses."""

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
    """A depthwise convolution whose weights stay as they are; its input's gradient is itself a convolution.

    PyTorch's own backward pass takes ten times as long on a CPU in bfloat16.
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
        if unit.stride > 1:  # from 14 to 7 places, as `Convolution` pads
            x, padding = functional.pad(x, [padding - 1, padding, padding - 1, padding]), 0
        kernel = weight.detach().to(x.dtype)
        y = _Depthwise.apply(x, kernel, unit.bias.to(x.dtype), unit.stride, padding)  # type: ignore[no-untyped-call]
    return functional.relu6(y) if unit.clip else y


def back_features(tower: EfficientNetLite, front: Tensor) -> Tensor:
    """The front's output (n, 80, 14, 14) to features (n, 1280): the tower's rest, fast in training with bfloat16."""
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
    """Texts of a bank to vectors (n, dim), the branch's layers in bfloat16, texts of about equal length together."""
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
    """InfoNCE both ways; each row's and column's target is spread evenly over its positives.

    Args:
        images: (n, dim) unit vectors.
        texts: (m, dim) unit vectors.
        positive: (n, m), 1 where a picture and a text belong together, at least once in each row and column.
        scale: What a cosine is multiplied with.
    """
    scores = scale * images @ texts.T
    of_images = positive / positive.sum(1, keepdim=True)
    of_texts = positive / positive.sum(0, keepdim=True)
    rows = -(of_images * scores.log_softmax(1)).sum(1).mean()
    columns = -(of_texts * scores.log_softmax(0)).sum(0).mean()
    return (rows + columns) / 2


def distillation(model: PhotoModel, features: Tensor, published: Tensor) -> Tensor:
    """How far features and the classes they suggest have moved from those of the tower before training."""
    temperature = model.shape.class_temperature
    classifier = model.image_tower.classifier
    target = (classifier(published) / temperature).softmax(-1)
    found = (classifier(features) / temperature).log_softmax(-1)
    apart = 1 - functional.cosine_similarity(features, published).mean()
    return functional.kl_div(found, target, reduction="batchmean") + apart


def synthetic_features(features: Tensor, class_weights: Tensor, chance: torch.Generator) -> Tensor:
    """Made-up features of classes: those of any picture, faded and pushed along the classifier's weights.

    Args:
        features: (n, 1280) of any pictures.
        class_weights: (n, 1280), the classifier's row of each class.
        chance: Draws how much is kept, and how far it is pushed.

    Returns:
        (n, 1280), as long as the features were.
    """
    length = features.norm(dim=1, keepdim=True)
    kept = torch.empty_like(length).uniform_(0.2, 0.8, generator=chance)
    pushed = torch.empty_like(length).uniform_(0.25, 1.0, generator=chance)
    made = (kept * features + pushed * length * functional.normalize(class_weights, dim=1)).clamp(0, 6)
    scaled: Tensor = made * (length / made.norm(dim=1, keepdim=True))
    return scaled


class Rate:
    """A linear warm-up over a tenth of the steps, then a cosine to zero."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps, self.step = n_steps, 0

    def share(self) -> float:
        """What the highest rate is multiplied with at this step."""
        warm = max(1, self.n_steps // 10)
        if self.step < warm:
            return (self.step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (self.step - warm) / max(1, self.n_steps - warm)))
