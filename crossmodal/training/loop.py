"""Training of an encoder on captioned images: batches, steps, and the measurement of both directions on dev."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import ImageRecord, Preprocessing, Vectors
from crossmodal.evaluation.encoding import image_of_captions
from crossmodal.training.curves import draw_curves
from crossmodal.training.pairs import CaptionsAnEpoch, PairBatch, evaluation_pixels
from crossmodal.training.trainer import History, Report, Selection, Trainer

CURVES = "curves.png"
EVALUATION_BATCH, EVALUATION_TEXTS = 100, 256
REPORT_EVERY_S = 30.0

Measure = Callable[[Vectors, Vectors, NDArray[np.int64]], dict[str, Any]]
"""Image vectors, text vectors and the image of each text to figures with `rsum` in them."""


@dataclass(frozen=True)
class Schedule:
    """How a run goes, whatever the model.

    `patience` is how many epochs without a better rsum end it; 0 never does. `n_workers` processes decode.
    """

    epochs: int
    batch_size: int
    captions: CaptionsAnEpoch = "all"
    clip_norm: float = 2.0
    patience: int = 0
    seed: int = 0
    n_workers: int = 1


class Learner(Protocol):
    """A model that learns from captioned images."""

    @property
    def module(self) -> torch.nn.Module:
        """Everything that learns."""
        ...

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimiser of the module."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are prepared for the module."""
        ...

    def begin_epoch(self, epoch: int) -> None:
        """Sets the learning rate and what is frozen; a function of the epoch alone."""
        ...

    def begin_step(self, done: float) -> None:
        """Sets the learning rate within an epoch; `done` is the share of the whole run."""
        ...

    def loss(self, pixels: Tensor, captions: list[str]) -> Tensor:
        """The loss of a batch, (n, 3, side, side) uint8 and n captions."""
        ...

    def encode_images(self, pixels: Tensor) -> Tensor:
        """(n, 3, side, side) uint8, or what else a batch has of its images, to (n, dim) of length 1."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts to (n, dim) of length 1, in order."""
        ...

    def export(self, folder: Path) -> None:
        """Writes the weights as `--weights FOLDER` loads them, all or nothing."""
        ...

    def settings(self) -> dict[str, Any]:
        """The settings of the run, JSON-ready; it is only resumed with equal ones."""
        ...


class PairSource(Protocol):
    """Where training pairs come from."""

    def __len__(self) -> int: ...

    def batches(
        self, epoch: int, batch_size: int, captions: CaptionsAnEpoch, n_workers: int
    ) -> tuple[int, Iterable[PairBatch]]:
        """How many batches an epoch has, and the batches; a function of the arguments alone."""
        ...


def fit(
    learner: Learner,
    train: PairSource,
    dev: Sequence[ImageRecord],
    schedule: Schedule,
    measure: Measure,
    out: Path,
    report: Report,
    dev_inputs: Tensor | None = None,
) -> History:
    """Trains, and leaves the weights of the epoch with the best rsum on `dev` in `out`.

    After every epoch `out` has `checkpoint.pt` to go on from, `history.json` and `curves.png`. A run that is
    started again goes on after its last whole epoch, with the same result as if it had never stopped.

    Args:
        learner: The model and its optimiser.
        train: The pairs to learn from.
        dev: The records to choose by; never learned from.
        schedule: Epochs, batches, seed.
        measure: The evaluation of an epoch.
        out: The folder to write.
        report: Called with lines of progress.
        dev_inputs: What `encode_images` takes for `dev`; by default the pixels.

    Returns:
        The history. An image that could not be read is named in `failures` of an entry, and the run goes on without
        it.

    Raises:
        InputError: A split is empty, or there are no epochs.
        StateError: The loss is not finite; the best weights and the last checkpoint stay. Or `out` has a run with
            other settings.
    """
    trainer = Trainer(schedule.epochs, report, Selection("rsum", schedule.patience, latest_of_equal=True))
    for name, n_images in (("train", len(train)), ("dev", len(dev))):
        if not n_images:
            raise InputError(f"the {name} split has no pictures with captions: nothing to train with")
    if dev_inputs is None:
        dev_inputs = torch.from_numpy(evaluation_pixels(dev, learner.preprocessing)).permute(0, 3, 1, 2)
    return trainer.resume(_PairTraining(learner, train, dev, schedule, measure, out, report, dev_inputs), out)


class _PairTraining:
    """A learner, its pairs, and its measurement on dev, as a `Trainer` runs them."""

    def __init__(
        self,
        learner: Learner,
        train: PairSource,
        dev: Sequence[ImageRecord],
        schedule: Schedule,
        measure: Measure,
        out: Path,
        report: Report,
        dev_inputs: Tensor,
    ) -> None:
        self.learner, self.train, self.dev, self.schedule = learner, train, dev, schedule
        self.measure, self.out, self.report, self.dev_inputs = measure, out, report, dev_inputs

    def settings(self) -> dict[str, Any]:
        return self.learner.settings()

    def state(self) -> dict[str, Any]:
        return {"model": self.learner.module.state_dict(), "optimizer": self.learner.optimizer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.learner.module.load_state_dict(state["model"])
        self.learner.optimizer.load_state_dict(state["optimizer"])

    def epoch(self, number: int) -> dict[str, Any]:
        """One pass over the train split; returns its mean loss, rate and failures."""
        learner, schedule, epoch = self.learner, self.schedule, number
        # Random parts of the model, such as dropout, follow from the epoch, so that a resumed run repeats them.
        torch.manual_seed(schedule.seed * 100_003 + epoch)
        learner.module.train()
        learner.begin_epoch(epoch)
        losses: list[float] = []
        failures: dict[str, str] = {}
        n_pairs, began, reported = 0, time.monotonic(), time.monotonic()
        n_batches, batches = self.train.batches(epoch, schedule.batch_size, schedule.captions, schedule.n_workers)
        for place, batch in enumerate(batches):
            failures |= {failure.path: failure.reason for failure in batch.failures}
            if len(batch.captions) < 2:
                continue
            learner.begin_step((epoch + place / n_batches) / schedule.epochs)
            losses.append(self._step(batch, f"epoch {epoch}, step {place}"))
            n_pairs += len(batch.captions)
            if time.monotonic() - reported > REPORT_EVERY_S:
                reported = time.monotonic()
                rate = n_pairs / (reported - began)
                self.report(f"epoch {epoch}  step {place}/{n_batches}  loss {losses[-1]:.4f}  {rate:.0f} pairs/s")
        if not losses:
            raise InputError("no picture of the train split can be read: nothing to train with")
        for path, reason in failures.items():
            self.report(f"left out: {path} ({reason})")
        return {
            "loss": float(np.mean(losses)),
            "pairs_per_s": round(n_pairs / (time.monotonic() - began), 1),
            "failures": [{"path": path, "reason": reason} for path, reason in failures.items()],
        }

    def _step(self, batch: PairBatch, where: str) -> float:
        learner = self.learner
        loss = learner.loss(batch.pixels, batch.captions)
        value = float(loss.item())
        if not math.isfinite(value):
            raise StateError(f"the loss is {value} in {where}: the last good checkpoint and weights are in {self.out}")
        learner.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learner.module.parameters(), self.schedule.clip_norm)
        learner.optimizer.step()
        return value

    def figures(self, number: int) -> dict[str, Any]:
        """The figures of `measure` on dev."""
        learner, dev = self.learner, self.dev
        learner.module.eval()
        captions = [caption for record in dev for caption in record.captions]
        parts = [captions[i : i + EVALUATION_TEXTS] for i in range(0, len(captions), EVALUATION_TEXTS)]
        with torch.inference_mode():
            images = torch.cat([learner.encode_images(part) for part in torch.split(self.dev_inputs, EVALUATION_BATCH)])
            texts = torch.cat([learner.encode_texts(part) for part in parts])
        return self.measure(images.float().cpu().numpy(), texts.float().cpu().numpy(), image_of_captions(dev))

    def end_epoch(self, history: History, is_best: bool) -> None:
        """Writes the weights if they are the best, and the curves."""
        if is_best:
            self.learner.export(self.out)
        draw_curves(history, self.out / CURVES)
