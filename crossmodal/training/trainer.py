"""The epoch loop of any training: evaluates on dev, selects the best epoch, stops early, resumes from a checkpoint."""

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
"""One entry per epoch: `epoch`, `loss`, and further values that `Training.epoch` and `Training.figures` return."""


class Training(Protocol):
    """A training that a `Trainer` runs epoch by epoch."""

    def epoch(self, number: int) -> dict[str, Any]:
        """Trains epoch `number`, counted from 0; returns values for the history, among them `loss`.

        Random numbers must depend on the seed and `number` only, or on `state`, so that a resumed run gives the same
        result as an uninterrupted one.
        """
        ...

    def figures(self, number: int) -> dict[str, Any]:
        """The figures on dev after epoch `number`; empty if this epoch is not evaluated."""
        ...

    def end_epoch(self, history: History, is_best: bool) -> None:
        """Keeps the current weights if they are the best so far, and writes reports of the history."""
        ...


class ResumableTraining(Training, Protocol):
    """A training whose state can be saved and loaded."""

    def settings(self) -> dict[str, Any]:
        """The settings of the run, JSON-ready; a run is resumed with equal settings only."""
        ...

    def state(self) -> dict[str, Any]:
        """The state that `load_state` restores: tensors and plain values."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        ...


@dataclass(frozen=True)
class Selection:
    """The rule that selects the best epoch and ends a run early.

    Attributes:
        figure: The figure on dev that selects; greater is better.
        patience: Epochs without a better figure that end the run; 0 never ends it.
        first_epoch: The first epoch to compare; before it the latest epoch is the best, and the run never ends early.
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
        """Whether the last `patience` epochs brought no better figure."""
        counted = [entry[self.figure] for entry in history[self.first_epoch :]]
        return bool(self.patience and counted) and len(counted) - 1 - counted.index(max(counted)) >= self.patience


@dataclass(frozen=True)
class Trainer:
    """Runs the epochs of a training.

    Attributes:
        epochs: The number of epochs, at least 1.
        report: Called with one line per epoch.
        selection: Selects the best epoch; None selects none.

    Raises:
        InputError: `epochs` is less than 1.
    """

    epochs: int
    report: Report
    selection: Selection | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"{self.epochs} epochs: at least one is needed")

    def run(self, training: Training) -> History:
        """Trains all epochs, or until the selection ends the run; returns the history."""
        return self._run(training, [], lambda history: None)

    def resume(self, training: ResumableTraining, folder: Path) -> History:
        """As `run`, but resumes from the checkpoint in `folder`, and writes checkpoint, settings and history there.

        Raises:
            StateError: The checkpoint belongs to a run with other settings.
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
    """Atomically writes the checkpoint, and the history beside it."""
    with atomic_writer(folder / CHECKPOINT) as file:
        torch.save({**training.state(), "settings": training.settings(), "history": history}, file)
    (folder / HISTORY).write_text(json.dumps(history, indent=2) + "\n", "utf8")


def _load(training: ResumableTraining, path: Path) -> History:
    """Loads the checkpoint if it exists; returns its history."""
    if not path.exists():
        return []
    state = torch.load(path, weights_only=True)
    settings, saved = training.settings(), state.get("settings", {})
    changed = sorted(name for name in settings if saved.get(name) != settings[name])
    if changed:
        raise StateError(f"{path} is of a run with another {', '.join(changed)}: choose another --out")
    training.load_state(state)
    history: History = state["history"]
    return history
