"""The epochs of a run, whatever it trains: measure on dev, select the best epoch, stop early, resume after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.files import atomic_writer

CHECKPOINT, HISTORY, SETTINGS = "checkpoint.pt", "history.json", "training.json"

Report = Callable[[str], None]
"""Called with a line of progress."""
History = list[dict[str, Any]]
"""An entry an epoch: `epoch`, `loss`, and what the training and the measurement on dev returned."""


class Training(Protocol):
    """What a `Trainer` trains."""

    def epoch(self, number: int) -> dict[str, Any]:
        """Trains epoch `number`, from 0; returns its entry of the history, with `loss`.

        Everything random must follow from the seed and the number, or be part of `state`, so that a resumed run ends
        like an uninterrupted one.
        """
        ...

    def figures(self, number: int) -> dict[str, Any]:
        """The figures on dev after epoch `number`; empty if this epoch is not measured."""
        ...

    def end_epoch(self, history: History, is_best: bool) -> None:
        """Keeps the present weights if they are the best, and writes what shows the history."""
        ...


class ResumableTraining(Training, Protocol):
    """A training whose state can be saved and loaded."""

    def settings(self) -> dict[str, Any]:
        """The settings of the run, JSON-ready; it is only resumed with equal ones."""
        ...

    def state(self) -> dict[str, Any]:
        """What `load_state` needs to go on: tensors and plain values."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` returned."""
        ...


@dataclass(frozen=True)
class Selection:
    """Which epoch is the best.

    Attributes:
        figure: The figure on dev that selects, greater is better.
        patience: Epochs without a better figure that end the run; 0 never ends it.
        first_epoch: The first epoch that counts; until then the latest epoch is the best, and none ends the run.
        latest_of_equal: Whether a later epoch with an equal figure replaces the best.
    """

    figure: str = "rsum"
    patience: int = 0
    first_epoch: int = 0
    latest_of_equal: bool = False

    def is_best(self, history: History) -> bool:
        """Whether the last epoch is the best so far."""
        *earlier, last = [entry[self.figure] for entry in history]
        if len(earlier) <= self.first_epoch:
            return True
        best = max(earlier[self.first_epoch :])
        return bool(last >= best if self.latest_of_equal else last > best)

    def is_stuck(self, history: History) -> bool:
        """Whether the last `patience` epochs were no better than one before them."""
        counted = [entry[self.figure] for entry in history[self.first_epoch :]]
        return bool(self.patience and counted) and len(counted) - 1 - counted.index(max(counted)) >= self.patience


@dataclass(frozen=True)
class Trainer:
    """Runs the epochs of a training.

    Attributes:
        epochs: How many, at least 1.
        report: Called with a line an epoch.
        selection: Selects the best epoch; None if no epoch is selected.

    Raises:
        InputError: There are no epochs.
    """

    epochs: int
    report: Report
    selection: Selection | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"{self.epochs} epochs: at least one is needed")

    def run(self, training: Training) -> History:
        """Trains all epochs, or until the selection ends the run, and returns the history."""
        return self._run(training, [], lambda history: None)

    def resume(self, training: ResumableTraining, folder: Path) -> History:
        """As `run`, with a checkpoint, the settings and the history in `folder`; goes on from a checkpoint there.

        Raises:
            StateError: The checkpoint is of a run with other settings.
        """
        folder.mkdir(parents=True, exist_ok=True)
        history = _load(training, folder / CHECKPOINT)
        (folder / SETTINGS).write_text(json.dumps(training.settings(), indent=2) + "\n", "utf8")
        return self._run(training, history, lambda history: _save(training, history, folder))

    def _run(self, training: Training, history: History, save: Callable[[History], None]) -> History:
        selection = self.selection
        for number in range(len(history), self.epochs):
            if selection and selection.is_stuck(history):
                self.report(f"no better {selection.figure} for {selection.patience} epochs: stopped early")
                break
            trained = training.epoch(number)
            figures = training.figures(number)
            history.append({"epoch": number, **trained, **figures})
            self.report(f"epoch {number}: loss {trained['loss']:.4f}{_line(figures)}")
            training.end_epoch(history, selection is not None and selection.is_best(history))
            save(history)
        return history


def _line(figures: dict[str, Any]) -> str:
    values = [f"{name} {value}" for name, value in figures.items() if not isinstance(value, (dict, list))]
    return f"  dev {'  '.join(values)}" if values else ""


def _save(training: ResumableTraining, history: History, folder: Path) -> None:
    """Writes the checkpoint, all or nothing, and the history beside it."""
    with atomic_writer(folder / CHECKPOINT) as file:
        torch.save({**training.state(), "settings": training.settings(), "history": history}, file)
    (folder / HISTORY).write_text(json.dumps(history, indent=2) + "\n", "utf8")


def _load(training: ResumableTraining, path: Path) -> History:
    """Loads the checkpoint if there is one; returns the history up to it."""
    if not path.exists():
        return []
    state = torch.load(path, weights_only=True)
    wanted, found = training.settings(), state.get("settings", {})
    changed = sorted(name for name in wanted if found.get(name) != wanted[name])
    if changed:
        raise StateError(f"{path} is of a run with another {', '.join(changed)}: choose another --out")
    training.load_state(state)
    history: History = state["history"]
    return history
