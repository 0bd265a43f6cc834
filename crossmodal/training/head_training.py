"""Training of sparse heads on the vectors of a frozen encoder: the parts that both recipes share.

The vectors are computed once and kept in memory, so an epoch takes seconds.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossmodal.core.errors import InputError, StateError
from crossmodal.evaluation.encoding import EncodedSplit
from crossmodal.lexical.model import Heads, SparseModel
from crossmodal.training.trainer import History, Trainer

Measure = Callable[[SparseModel, EncodedSplit], dict[str, Any]]
"""The figures of a model on dev; their `MRR` selects the epoch."""


class HeadTraining:
    """Steps and dev evaluation of a recipe, run by a `Trainer`; `best` is the model of the selected epoch."""

    def __init__(
        self,
        steps: Callable[[int], Iterator[float]],
        exported: Callable[[], SparseModel],
        dev: EncodedSplit,
        measure: Measure,
    ) -> None:
        """Stores the parts of a recipe.

        Args:
            steps: Trains an epoch and yields the loss of each step.
            exported: Returns the current weights as a model.
            dev: The split that selects the epoch.
            measure: Evaluates an epoch's model on `dev`.
        """
        self._steps, self._exported, self._dev, self._measure = steps, exported, dev, measure
        self._model = self.best = exported()

    def epoch(self, number: int) -> dict[str, Any]:
        """Trains an epoch; returns its mean `loss` and its duration in `seconds`."""
        began = time.monotonic()
        loss = float(np.mean(list(self._steps(number))))
        return {"loss": loss, "seconds": round(time.monotonic() - began, 2)}

    def figures(self, number: int) -> dict[str, Any]:
        """The figures on dev."""
        self._model = self._exported()
        return self._measure(self._model, self._dev)

    def end_epoch(self, history: History, is_best: bool) -> None:
        """Keeps the model if it is the best so far."""
        if is_best:
            self.best = copy.copy(self._model)


def train_heads(trainer: Trainer, training: HeadTraining) -> tuple[SparseModel, History]:
    """The model of the selected epoch, and the history."""
    history = trainer.run(training)
    return training.best, history


def check_splits(train: EncodedSplit, dev: EncodedSplit) -> None:
    """Raises if there is nothing to train with.

    Raises:
        InputError: A split has no images or no captions.
    """
    for name, split in (("train", train), ("dev", dev)):
        if not len(split.images) or not split.captions:
            raise InputError(f"the {name} split has no pictures with captions: nothing to train with")


def step(loss: Tensor, optimizer: torch.optim.Optimizer) -> float:
    """Updates the weights; returns the loss.

    Raises:
        StateError: The loss is not finite; nothing was updated.
    """
    value = float(loss.item())
    if not np.isfinite(value):
        raise StateError(f"the loss is {value}: choose a lower learning_rate with --set")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return value


def linear_layers(name: str, head: torch.nn.Sequential) -> Heads:
    """Copies of a head's linear layers, named `NAME.0.weight`, `NAME.0.bias`, `NAME.1.weight` ..."""
    layers = [layer for layer in head if isinstance(layer, torch.nn.Linear)]
    arrays: Heads = {}
    for number, layer in enumerate(layers):
        arrays[f"{name}.{number}.weight"] = layer.weight.detach().numpy().copy()
        arrays[f"{name}.{number}.bias"] = layer.bias.detach().numpy().copy()
    return arrays
