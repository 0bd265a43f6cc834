"""The two towers of the bundled `photos` weights in plain torch: EfficientNet-Lite for images, MiniLM for text.

timm, open_clip and transformers are not imported, so that a process starts quickly. The names of the modules differ
from the published checkpoints; `crossmodal.training.photos_start` maps them.

Source: Tan and Le 2019 (EfficientNet), Google's Lite variants of 2020; Wang et al. 2020 (MiniLM).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from crossmodal.encoders.lite_shape import LITE_FEATURES, STEM_CHANNELS, BlockShape, block_shapes
from crossmodal.encoders.photos import TextShape


class Convolution(nn.Module):
    """A convolution with the following batch normalisation folded in, padded as TensorFlow does.

    During training from the published checkpoint, `gain` (out,) is the normalisation's scale, kept separate so that
    learning rates suit the weights. `fold` multiplies it into the weights and sets it to None.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int = 1, stride: int = 1, groups: int = 1, clip: bool = True):
        """`clip` adds a ReLU6."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_out, n_in // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(n_out))
        self.gain: nn.Parameter | None = None
        self.kernel, self.stride, self.groups, self.clip = kernel, stride, groups, clip

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in, h, w) to (n, n_out, ceil(h / stride), ceil(w / stride))."""
        weight = self.weight if self.gain is None else self.weight * self.gain[:, None, None, None]
        padding: int | list[int] = self.kernel // 2
        if self.stride > 1:
            missing = [max((-(-side // self.stride) - 1) * self.stride + self.kernel - side, 0) for side in x.shape[2:]]
            if any(total % 2 for total in missing):
                x = functional.pad(x, [half for total in missing[::-1] for half in (total // 2, total - total // 2)])
                padding = 0
            else:
                padding = [total // 2 for total in missing]
        x = functional.conv2d(x, weight, self.bias, self.stride, padding, 1, self.groups)
        return functional.relu6(x, inplace=not self.training) if self.clip else x

    def fold(self) -> None:
        """Multiplies `gain` into the weights, which doesn't change the function."""
        if self.gain is not None:
            with torch.no_grad():
                self.weight.mul_(self.gain[:, None, None, None])
            self.gain = None


class Block(nn.Module):
    """An inverted residual: expand, depthwise, project; the input is added if the shapes are equal."""

    def __init__(self, shape: BlockShape):
        super().__init__()
        wide = shape.n_in * shape.expansion
        self.expand = Convolution(shape.n_in, wide) if shape.expansion > 1 else None
        self.depthwise = Convolution(wide, wide, shape.kernel, shape.stride, groups=wide)
        self.project = Convolution(wide, shape.n_out, clip=False)
        self.residual = shape.is_residual

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in, h, w) to (n, n_out, h / stride, w / stride)."""
        y = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        added: Tensor = x + y if self.residual else y
        return added


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite up to its pooled features, with the classifier of ImageNet's thousand classes."""

    def __init__(self, variant: str):
        """`variant` is a key of `lite_shape.SCALES`."""
        super().__init__()
        shapes = list(block_shapes(variant))
        self.stem = Convolution(3, STEM_CHANNELS, 3, 2)
        self.blocks = nn.ModuleList(Block(shape) for shape in shapes)
        self.head = Convolution(shapes[-1].n_out, LITE_FEATURES)
        self.classifier = nn.Linear(LITE_FEATURES, 1000)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w), scaled as (x - 127) / 128, to pooled features (n, 1280)."""
        x = self.stem(images)
        for block in self.blocks:
            x = block(x)
        x = self.head(x)
        features: Tensor = x.mean((2, 3))
        return features

    def fold(self) -> None:
        """Folds all convolutions, see `Convolution.fold`."""
        for module in self.modules():
            if isinstance(module, Convolution):
                module.fold()


class BertLayer(nn.Module):
    """Self-attention and a feed-forward network, each with a residual connection and layer normalisation."""

    def __init__(self, shape: TextShape):
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.norm1 = nn.LayerNorm(shape.width, eps=1e-12)
        self.wide = nn.Linear(shape.width, shape.inner)
        self.narrow = nn.Linear(shape.inner, shape.width)
        self.norm2 = nn.LayerNorm(shape.width, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
        """States (n, length, width) to states of the same shape; `mask` (n, 1, 1, length) is False for padding."""
        n, length, width = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        attended = self.out(attended.transpose(1, 2).reshape(n, length, width))
        x = self.norm1(x + functional.dropout(attended, dropout, self.training))
        inner = self.narrow(functional.gelu(self.wide(x)))
        normed: Tensor = self.norm2(x + functional.dropout(inner, dropout, self.training))
        return normed


class MiniLM(nn.Module):
    """A BERT encoder whose text vector is the mean over its tokens' last states."""

    def __init__(self, shape: TextShape):
        super().__init__()
        self.words = nn.Embedding(shape.vocab_size, shape.width)
        self.positions = nn.Parameter(torch.empty(shape.context_length, shape.width))
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.layers = nn.ModuleList(BertLayer(shape) for _ in range(shape.layers))

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids (n, length), 0 for padding, to the first layer's input states (n, length, width)."""
        embedded: Tensor = self.norm(self.words(ids) + self.positions[: ids.shape[1]])
        return embedded

    def run(self, x: Tensor, present: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """The states after the layers from `first` to before `last`; `present` (n, length) is False for padding."""
        return run_layers(self.layers[first:last], x, present)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (n, length), 0 for padding, to text vectors (n, width)."""
        present = ids != 0
        return mean_of_tokens(self.run(self.embed(ids), present), present)


def run_layers(layers: Iterable[nn.Module], x: Tensor, present: Tensor, dropout: float = 0.0) -> Tensor:
    """The states (n, length, width) after BERT layers; `present` (n, length) is False for padding."""
    mask = None if bool(present.all()) else present[:, None, None, :]
    for layer in layers:
        x = layer(x, mask, dropout)
    return x


def mean_of_tokens(x: Tensor, present: Tensor) -> Tensor:
    """The mean (n, width) of states (n, length, width) without padding."""
    weights = present.unsqueeze(-1).to(x.dtype)
    return (x * weights).sum(1) / weights.sum(1)


class Head(nn.Module):
    """Linear layers with GELU and dropout between them, from a tower's vectors to the shared space."""

    def __init__(self, *sizes: int, dropout: float = 0.0):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """(n, sizes[0]) to (n, sizes[-1])."""
        for layer in self.layers[:-1]:
            x = functional.dropout(functional.gelu(layer(x)), self.dropout, self.training)
        last: Tensor = self.layers[-1](x)
        return last
