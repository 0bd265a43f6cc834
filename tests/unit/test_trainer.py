"""Which epoch a Trainer selects, when it stops, and what it leaves to resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossmodal.core.errors import InputError, StateError
from crossmodal.training.trainer import HISTORY, SETTINGS, History, Selection, Trainer


class Recorded:
    """A training whose figures are given."""

    def __init__(self, figures: list[float], rate: float = 0.1, stops_at: int | None = None) -> None:
        self.values, self.rate, self.stops_at = figures, rate, stops_at
        self.trained: list[int] = []
        self.best: list[int] = []

    def epoch(self, number: int) -> dict[str, Any]:
        if number == self.stops_at:
            raise KeyboardInterrupt
        self.trained.append(number)
        return {"loss": 1.0}

    def figures(self, number: int) -> dict[str, Any]:
        return {"rsum": self.values[number]}

    def end_epoch(self, history: History, is_best: bool) -> None:
        if is_best:
            self.best.append(len(history) - 1)

    def settings(self) -> dict[str, Any]:
        return {"rate": self.rate}

    def state(self) -> dict[str, Any]:
        return {"trained": list(self.trained)}

    def load_state(self, state: dict[str, Any]) -> None:
        self.trained = list(state["trained"])


def silent(line: str) -> None:
    pass


@pytest.mark.parametrize(
    ("selection", "best", "n_epochs"),
    [
        (Selection(), [0, 2], 6),
        (Selection(latest_of_equal=True), [0, 2, 3], 6),
        (Selection(patience=2), [0, 2], 5),
        (Selection(first_epoch=3), [0, 1, 2, 3], 6),
        (Selection(patience=1, first_epoch=3), [0, 1, 2, 3], 5),
        (None, [], 6),
    ],
)
def test_the_best_epoch_and_the_end(selection: Selection | None, best: list[int], n_epochs: int) -> None:
    training = Recorded([3.0, 1.0, 5.0, 5.0, 4.0, 2.0])
    history = Trainer(6, silent, selection).run(training)
    assert (training.best, len(history)) == (best, n_epochs)


def test_a_stopped_run_goes_on_after_its_last_epoch(tmp_path: Path) -> None:
    trainer = Trainer(4, silent, Selection())
    with pytest.raises(KeyboardInterrupt):
        trainer.resume(Recorded([1.0, 2.0, 3.0, 4.0], stops_at=2), tmp_path)
    training = Recorded([0.0, 0.0, 3.0, 4.0])
    history = trainer.resume(training, tmp_path)
    assert [entry["rsum"] for entry in history] == [1.0, 2.0, 3.0, 4.0]
    assert (training.trained, training.best) == ([0, 1, 2, 3], [2, 3])
    assert json.loads((tmp_path / HISTORY).read_text()) == history
    assert json.loads((tmp_path / SETTINGS).read_text()) == {"rate": 0.1}


def test_a_run_with_other_settings_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(1, silent)
    trainer.resume(Recorded([1.0]), tmp_path)
    with pytest.raises(StateError, match=r"checkpoint\.pt is of a run with another rate: choose another --out"):
        trainer.resume(Recorded([1.0], rate=0.2), tmp_path)


def test_no_epochs_are_refused() -> None:
    with pytest.raises(InputError, match="0 epochs: at least one is needed"):
        Trainer(0, silent)


def test_a_line_an_epoch() -> None:
    lines: list[str] = []
    Trainer(1, lines.append).run(Recorded([7.5]))
    assert lines == ["epoch 0: loss 1.0000  dev rsum 7.5"]
