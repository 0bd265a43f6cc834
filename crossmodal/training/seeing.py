"""Pretrains a CNN on scenes: predicts the facts of the thing in each cell of the last feature map.

A linear layer predicts shape, colour, count, size and texture separately. Pairs are never predicted, so the features
generalise to unseen pairs. Three hundred of these steps are worth more than thousands of contrastive ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from crossmodal.training.losses import fact_loss
from crossmodal.training.scene_batches import PictureBatch
from crossmodal.training.scene_facts import CELL_FACTS

LEARNING_RATE = 2e-3
"""The peak, reached after a tenth of the steps; then it falls to 0 along a cosine."""


class FactReading(torch.nn.Module):
    """A linear layer that predicts the facts of a thing, and its loss; discarded after training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(channels, sum(len(values) for values in CELL_FACTS.values()))

    def forward(self, vectors: Tensor, facts: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            vectors: (n, channels).
            facts: (n, kinds of facts) int64, indices of values in `CELL_FACTS`, or -1 if unknown.
        """
        return fact_loss(self.linear(vectors.float()), facts, [len(values) for values in CELL_FACTS.values()])

    def of_cells(self, features: Tensor, cells: Tensor) -> Tensor:
        """The loss of a feature map, a scalar.

        Args:
            features: (n, channels, CELLS, CELLS).
            cells: (n, CELLS * CELLS, kinds of facts) int64, from `scene_facts.cell_targets`.
        """
        loss: Tensor = self(features.flatten(2).transpose(1, 2).flatten(0, 1), cells.flatten(0, 1))
        return loss


def teach(
    features: Callable[[PictureBatch], Tensor],
    cnn: torch.nn.Module,
    batch: Callable[[int], PictureBatch],
    steps: int,
    report: Callable[[str], None],
) -> None:
    """Trains a CNN to predict the facts of cells.

    Args:
        features: Computes the last feature map of a batch, (n, channels, CELLS, CELLS).
        cnn: The module to train.
        batch: Returns the batch of a step; must depend on the step alone.
        steps: The number of steps.
        report: Called with a line of progress every 100 steps.
    """
    cnn.train()
    with torch.no_grad():
        example = features(batch(0))
    reading = FactReading(example.shape[1]).to(example.device)
    optimizer = torch.optim.AdamW([*cnn.parameters(), *reading.parameters()], lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps, pct_start=0.1)
    for step in range(steps):
        pictures = batch(step).to(example.device)
        loss = reading.of_cells(features(pictures), pictures.cells)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(cnn.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            report(f"seeing: step {step}/{steps}  cells {loss.item():.3f}")
