"""Teaches a CNN to see scenes: what is in each cell of its last feature map.

A linear reading of shape, colour, count, size and texture apart, so no pair of them is ever asked for, and
what is learnt holds for pairs that were never seen. Three hundred steps of this give a CNN more than
thousands of contrastive ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from crossmodal.training.losses import fact_loss
from crossmodal.training.scene_batches import PictureBatch
from crossmodal.training.scene_facts import CELL_FACTS


class FactReading(torch.nn.Module):
    """A linear reading of each fact of a thing, and its loss; it is thrown away after training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(channels, sum(len(values) for values in CELL_FACTS.values()))

    def forward(self, vectors: Tensor, facts: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            vectors: (n, channels).
            facts: (n, kinds of facts) int64, places of values in `CELL_FACTS`, or -1 where there is nothing to tell.
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
        seen = features(batch(0))
    reading = FactReading(seen.shape[1]).to(seen.device)
    optimizer = torch.optim.AdamW([*cnn.parameters(), *reading.parameters()], lr=learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, steps, pct_start=0.1)
    for step in range(steps):
        given = batch(step).to(seen.device)
        loss = reading.of_cells(features(given), given.cells)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(cnn.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            report(f"seeing: step {step}/{steps}  cells {loss.item():.3f}")
