"""Settings, architecture and learning rate of the small CLIP for scenes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from crossmodal.core.types import Preprocessing

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

MODEL_CONFIG: dict[str, Any] = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 96, "layers": [1, 1, 1, 3], "head_width": 32},
    "text_cfg": {"context_length": 48, "width": 192, "heads": 6, "layers": 3},
}
PREPROCESSING = Preprocessing(MODEL_CONFIG["vision_cfg"]["image_size"], mean=MEAN, std=STD)


@dataclass(frozen=True)
class ClipTraining:
    """Settings of a run; they are saved beside its weights.

    `start` names CLIP weights of the same architecture to start from (with `seeing_steps=0`), or is empty for random
    weights. `seeing_steps` pretrain the image tower, `steps` train both towers. `width` is the number of channels of
    the image tower's first convolutions.
    """

    start: str = ""
    seeing_steps: int = 1200
    steps: int = 5000
    batch_size: int = 512
    captions_a_batch: int = 192
    learning_rate: float = 1.5e-3
    warmup_steps: int = 200
    weight_decay: float = 0.05
    query_weight: float = 1.0
    thing_weight: float = 1.0
    cell_weight: float = 0.25
    fact_weight: float = 0.25
    attribute_weight: float = 0.5
    pair_weight: float = 1.0
    width: int = 24
    n_scenes: int = 40_000
    seed: int = 0
    checkpoint_every: int = 500

    @property
    def all_steps(self) -> int:
        """Steps of pretraining and training together."""
        return self.seeing_steps + self.steps


def learning_rate(settings: ClipTraining, step: int) -> float:
    """The learning rate of a step; pretraining and training each warm up linearly, then fall along a cosine to 2 %."""
    if step < settings.seeing_steps:
        step, length = step, settings.seeing_steps
    else:
        step, length = step - settings.seeing_steps, settings.steps
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / length)))
    return settings.learning_rate * warm * (0.02 + 0.98 * cosine)
