"""The architecture of EfficientNet-Lite, shared by the torch and the OpenVINO implementation.

Source: Tan and Le 2019 (EfficientNet), Google's Lite variants of 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Multipliers of width and depth of each variant."""

STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
          (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))  # fmt: skip
"""Blocks, kernel, stride of the first block, expansion and channels of each stage, at scale 1."""

STEM_CHANNELS = 32
LITE_FEATURES = 1280


class BlockShape(NamedTuple):
    """An inverted residual block: channels in and out, kernel, stride and expansion."""

    n_in: int
    n_out: int
    kernel: int
    stride: int
    expansion: int

    @property
    def is_residual(self) -> bool:
        """Whether the block's input is added to its output."""
        return self.stride == 1 and self.n_in == self.n_out


def block_shapes(variant: str) -> Iterator[BlockShape]:
    """The shapes of a variant's blocks, in order; `variant` is a key of `SCALES`."""
    width, depth = SCALES[variant]
    channels = [STEM_CHANNELS, *(_rounded(c * width) for *_, c in STAGES)]
    for place, (n_blocks, kernel, stride, expansion, _) in enumerate(STAGES):
        n_in, n_out = channels[place : place + 2]
        is_inner = 0 < place < len(STAGES) - 1
        for number in range(math.ceil(n_blocks * depth) if is_inner else n_blocks):
            yield BlockShape(n_out if number else n_in, n_out, kernel, 1 if number else stride, expansion)


def _rounded(channels: float) -> int:
    """The multiple of 8 closest to a scaled number of channels, but at least 90 % of it."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near
