"""Training of an encoder on captioned images: batches, steps, and retrieval figures on dev in both directions."""

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

from crossmodal.core.batched import batched
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import ImageRecord, Preprocessing, Vectors
from crossmodal.evaluation.encoding import image_of_captions
from crossmodal.training.curves import draw_curves
from crossmodal.training.pairs import CaptionsPerEpoch, PairBatch, evaluation_pixels
from crossmodal.training.trainer import History, Report, Selection, Trainer

CURVES = "curves.png"
EVALUATION_BATCH, EVALUATION_TEXTS = 100, 256
REPORT_EVERY_S = 30.0

Measure = Callable[[Vectors, Vectors, NDArray[np.int64]], dict[str, Any]]
"""Maps image vectors, text vectors and the image of each text to figures, among them `rsum`."""


@dataclass(frozen=True)
class Schedule:
    """Settings of a run that don't depend on the model.

    `patience` is the number of epochs without a better rsum that end the run; 0 never ends it. `n_workers` is the
    number of processes that decode images.
    """

    epochs: int
    batch_size: int
    captions: CaptionsPerEpoch = "all"
    clip_norm: float = 2.0
    patience: int = 0
    seed: int = 0
    n_workers: int = 1


class Learner(Protocol):
    """A model that learns from captioned images."""

    @property
    def module(self) -> torch.nn.Module:
        """All trainable parts."""
        ...

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimiser of `module`."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are prepared for `module`."""
        ...

    def begin_epoch(self, epoch: int) -> None:
        """Sets the learning rate and the frozen parts; must depend on the epoch alone."""
        ...

    def begin_step(self, done: float) -> None:
        """Sets the learning rate within an epoch; `done` is the finished share of the whole run, 0 to 1."""
        ...

    def loss(self, pixels: Tensor, captions: list[str]) -> Tensor:
        """The loss of a batch, (n, 3, side, side) uint8 and n captions."""
        ...

    def encode_images(self, pixels: Tensor) -> Tensor:
        """(n, 3, side, side) uint8, or the features that a `PairSource` returns instead, to unit vectors (n, dim)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts to unit vectors (n, dim), in order."""
        ...

    def export(self, folder: Path) -> None:
        """Atomically writes the weights as `--weights FOLDER` loads them."""
        ...

    def settings(self) -> dict[str, Any]:
        """The settings of the run, JSON-ready; a run is resumed with equal settings only."""
        ...


class PairSource(Protocol):
    """A source of training pairs of image and caption."""

    def __len__(self) -> int: ...

    def batches(
        self, epoch: int, batch_size: int, captions: CaptionsPerEpoch, n_workers: int
    ) -> tuple[int, Iterable[PairBatch]]:
        """The number of batches of an epoch, and the batches; must depend on the arguments alone."""
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
    """Trains, and writes the weights of the epoch with the best rsum on `dev` to `out`.

    After every epoch `out` has `checkpoint.pt`, `history.json` and `curves.png`. A restarted run resumes after its last
    complete epoch and gives the same weights as an uninterrupted one.

    Args:
        learner: The model and its optimiser.
        train: The training pairs.
        dev: The records that select the epoch.
        schedule: Epochs, batches, seed.
        measure: Evaluates an epoch.
        out: The folder to write.
        report: Called with lines of progress.
        dev_inputs: The inputs of `encode_images` for `dev`; None for pixels.

    Returns:
        The history. An entry lists the images that could not be read in `failures`; training skips them.

    Raises:
        InputError: A split is empty, no training image can be read, or there are no epochs.
        StateError: The loss is not finite (the best weights and the last checkpoint are kept), or `out` has a run with
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
    """A learner, its pairs and its dev split, run by a `Trainer`."""

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
        # Seeds dropout and other random parts of the model by the epoch, so that a resumed run repeats them.
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
        """The figures on dev."""
        learner, dev = self.learner, self.dev
        learner.module.eval()
        captions = [caption for record in dev for caption in record.captions]
        with torch.inference_mode():
            images = torch.cat([learner.encode_images(part) for part in torch.split(self.dev_inputs, EVALUATION_BATCH)])
            texts = torch.cat([learner.encode_texts(part) for part in batched(captions, EVALUATION_TEXTS)])
        return self.measure(images.float().cpu().numpy(), texts.float().cpu().numpy(), image_of_captions(dev))

    def end_epoch(self, history: History, is_best: bool) -> None:
        """Writes the curves, and the weights if they are the best so far."""
        if is_best:
            self.learner.export(self.out)
        draw_curves(history, self.out / CURVES)
