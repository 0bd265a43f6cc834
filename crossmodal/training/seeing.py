"""Teaches a CNN to see scenes: what is in each cell of its last feature map.

A linear reading of shape, colour, count, size and texture apart, so no pair of them is ever asked for, and
what is learnt holds for pairs that were never seen. Three hundred steps of this give a CNN more than
thousands of contrastive ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from crossmodal.training.losses import cell_facts
from crossmodal.training.scene_batches import CELL_FACTS, PictureBatch


class CellReading(torch.nn.Module):
    """The linear reading and its loss; it is thrown away after training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(channels, sum(len(values) for values in CELL_FACTS.values()))

    def forward(self, features: Tensor, cells: Tensor) -> Tensor:
        """The loss of a feature map, a scalar.

        Args:
            features: (n, channels, CELLS, CELLS).
            cells: (n, CELLS * CELLS, facts) int64, from `scene_batches.cell_targets`.
        """
        told = self.linear(features.float().flatten(2).transpose(1, 2))
        return cell_facts(told, cells, [len(values) for values in CELL_FACTS.values()])


def teach(
    features: Callable[[PictureBatch], Tensor],
    cnn: torch.nn.Module,
    batch: Callable[[int], PictureBatch],
    steps: int,
    learning_rate: float,
    report: Callable[[str], None],
) -> None:
    """Trains a CNN on the cells.

    Args:
        features: The last feature map of a batch, (n, channels, CELLS, CELLS).
        cnn: What is trained.
        batch: The batch of a step; a function of the step alone.
        steps: How many.
        learning_rate: The peak, after a tenth of the steps; it falls to nothing in a cosine.
        report: Called with a line of progress now and then.
    """
    cnn.train()
    with torch.no_grad():
        channels = features(batch(0)).shape[1]
    reading = CellReading(channels)
    optimizer = torch.optim.AdamW([*cnn.parameters(), *reading.parameters()], lr=learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, steps, pct_start=0.1)
    for step in range(steps):
        given = batch(step)
        loss = reading(features(given), given.cells)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(cnn.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            report(f"seeing: step {step}/{steps}  cells {loss.item():.3f}")
