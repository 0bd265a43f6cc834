"""Epochs over captioned pictures: train, measure on the dev split, keep the best, go on where it stopped."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.files import atomic_writer
from crossmodal.core.types import ImageRecord, Preprocessing, Vectors
from crossmodal.training.curves import draw_curves
from crossmodal.training.pairs import CaptionsAnEpoch, PairBatch, evaluation_pixels

CHECKPOINT, HISTORY, CURVES, SETTINGS = "checkpoint.pt", "history.json", "curves.png", "training.json"
EVALUATION_BATCH = 100
REPORT_EVERY_S = 30.0

Measure = Callable[[Vectors, Vectors, "np.ndarray[Any, np.dtype[np.int64]]"], dict[str, Any]]
"""Image vectors, text vectors and the image of each text to a report with `rsum` in it."""


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
    """A model that learns from captioned pictures."""

    module: torch.nn.Module
    optimizer: torch.optim.Optimizer
    preprocessing: Preprocessing

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
        """(n, 3, side, side) uint8, or what else a batch has of its pictures, to (n, dim) of length 1."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts to (n, dim) of length 1, in order."""
        ...

    def export(self, folder: Path) -> None:
        """Writes the weights as `--weights FOLDER` loads them, all or nothing."""
        ...

    def settings(self) -> dict[str, Any]:
        """What was asked for, JSON-ready; a run is only resumed with the same."""
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
    report: Callable[[str], None],
    dev_inputs: Tensor | None = None,
) -> list[dict[str, Any]]:
    """Trains, and leaves the weights of the epoch with the best rsum on `dev` in `out`.

    After every epoch `out` has `checkpoint.pt` to go on from, `history.json` and `curves.png`. A run that is
    started again goes on after its last whole epoch, with the same result as if it had never stopped.

    Args:
        learner: The model and its optimiser.
        train: What to learn from.
        dev: What to choose by; never learned from.
        schedule: Epochs, batches, seed.
        measure: The evaluation of an epoch.
        out: The folder to write.
        report: Called with a line of progress now and then.
        dev_inputs: What `encode_images` is to be given of `dev`; by default the pixels.

    Returns:
        The history, a report an epoch. A picture that could not be read is named in `failures`, and the run
        goes on without it.

    Raises:
        InputError: A split is empty, or there are no epochs.
        StateError: The loss is not finite; the best weights and the last checkpoint stay. Or `out` has a run
            with other settings.
    """
    if schedule.epochs < 1:
        raise InputError(f"{schedule.epochs} epochs: at least one is needed")
    for name, n_pictures in (("train", len(train)), ("dev", len(dev))):
        if not n_pictures:
            raise InputError(f"the {name} split has no pictures with captions: nothing to train with")
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(learner, schedule, out)
    history = run.resume()
    (out / SETTINGS).write_text(json.dumps(learner.settings(), indent=2) + "\n", "utf8")
    if dev_inputs is None:
        dev_inputs = torch.from_numpy(evaluation_pixels(dev, learner.preprocessing)).permute(0, 3, 1, 2)
    for epoch in range(len(history), schedule.epochs):
        if _is_stuck(history, schedule.patience):
            report(f"no better rsum for {schedule.patience} epochs: stopped early")
            break
        trained = run.epoch(epoch, train, report)
        figures = measure(*_encode(learner, dev_inputs, dev))
        history.append({"epoch": epoch, **trained, **figures})
        report(f"epoch {epoch}: loss {trained['loss']:.4f}  dev rsum {figures['rsum']}")
        if figures["rsum"] >= max(entry["rsum"] for entry in history):
            learner.export(out)
        run.save(history)
        draw_curves(history, out / CURVES)
    return history


class _Run:
    def __init__(self, learner: Learner, schedule: Schedule, out: Path) -> None:
        self.learner, self.schedule, self.out = learner, schedule, out

    def epoch(self, epoch: int, train: PairSource, report: Callable[[str], None]) -> dict[str, Any]:
        """One pass over the train split; returns its mean loss, rate and failures."""
        learner, schedule = self.learner, self.schedule
        # What is random in the model, dropout say, follows from the epoch, so a resumed run repeats it.
        torch.manual_seed(schedule.seed * 100_003 + epoch)
        learner.module.train()
        learner.begin_epoch(epoch)
        losses: list[float] = []
        failures: dict[str, str] = {}
        n_pairs, began, told = 0, time.monotonic(), time.monotonic()
        n_batches, batches = train.batches(epoch, schedule.batch_size, schedule.captions, schedule.n_workers)
        for number, batch in enumerate(batches):
            failures |= {failure.path: failure.reason for failure in batch.failures}
            if len(batch.captions) < 2:
                continue
            learner.begin_step((epoch + number / n_batches) / schedule.epochs)
            losses.append(self._step(batch, f"epoch {epoch}, step {number}"))
            n_pairs += len(batch.captions)
            if time.monotonic() - told > REPORT_EVERY_S:
                told = time.monotonic()
                rate = n_pairs / (told - began)
                report(f"epoch {epoch}  step {number}/{n_batches}  loss {losses[-1]:.4f}  {rate:.0f} pairs/s")
        if not losses:
            raise InputError("no picture of the train split can be read: nothing to train with")
        for path, reason in failures.items():
            report(f"left out: {path} ({reason})")
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

    def save(self, history: list[dict[str, Any]]) -> None:
        """Writes the checkpoint, all or nothing, and the history beside it."""
        state = {
            "settings": self.learner.settings(),
            "history": history,
            "model": self.learner.module.state_dict(),
            "optimizer": self.learner.optimizer.state_dict(),
        }
        with atomic_writer(self.out / CHECKPOINT) as file:
            torch.save(state, file)
        (self.out / HISTORY).write_text(json.dumps(history, indent=2) + "\n", "utf8")

    def resume(self) -> list[dict[str, Any]]:
        """Loads the checkpoint if there is one; returns the history up to it."""
        path = self.out / CHECKPOINT
        if not path.exists():
            return []
        state = torch.load(path, weights_only=True)
        wanted = self.learner.settings()
        changed = sorted(name for name in wanted if state["settings"].get(name) != wanted[name])
        if changed:
            raise StateError(f"{path} is of a run with another {', '.join(changed)}: choose another --out")
        self.learner.module.load_state_dict(state["model"])
        self.learner.optimizer.load_state_dict(state["optimizer"])
        history: list[dict[str, Any]] = state["history"]
        return history


def _encode(
    learner: Learner, pixels: Tensor, records: Sequence[ImageRecord]
) -> tuple[Vectors, Vectors, np.ndarray[Any, np.dtype[np.int64]]]:
    learner.module.eval()
    texts = [caption for record in records for caption in record.captions]
    with torch.inference_mode():
        images = [learner.encode_images(part) for part in torch.split(pixels, EVALUATION_BATCH)]
        told = [learner.encode_texts(texts[i : i + 256]) for i in range(0, len(texts), 256)]
    image_of = np.repeat(np.arange(len(records)), [len(record.captions) for record in records])
    return torch.cat(images).float().cpu().numpy(), torch.cat(told).float().cpu().numpy(), image_of


def _is_stuck(history: list[dict[str, Any]], patience: int) -> bool:
    if not patience or len(history) <= patience:
        return False
    best = max(range(len(history)), key=lambda epoch: history[epoch]["rsum"])
    return len(history) - 1 - best >= patience
