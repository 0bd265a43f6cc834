"""A training run of the `photos` weights: its model, its steps, and the stages `locked`, `fine_tuned`, `averaged`."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from crossmodal.core.errors import StateError
from crossmodal.core.files import atomic_writer
from crossmodal.core.types import ImageRecord
from crossmodal.encoders.photo_model import PhotoModel, load_folder
from crossmodal.encoders.photos import BUNDLED_FOLDER, CONTEXT_LENGTH, VOCABULARY_NAME, PhotoShape
from crossmodal.encoders.wordpiece import WordPiece
from crossmodal.training.photos_batches import Batch, Batches
from crossmodal.training.photos_begin import begin
from crossmodal.training.photos_data import PhotoData
from crossmodal.training.photos_start import published_image_tower, published_text_tower
from crossmodal.training.photos_steps import Rate, back_features, contrastive, distillation, text_vectors
from crossmodal.training.photos_views import FRONT_BLOCKS
from crossmodal.training.trainer import History, Report

if TYPE_CHECKING:
    from crossmodal.training.photos import PhotoTraining

LOCKED = "locked.pt"
BETAS = (0.9, 0.98)
SHARES = (0.5, 0.7, 0.85, 1.0)
"""Candidate shares of the fine-tuned weights in the average with the locked ones; dev selects the best."""


class PhotoRun:
    """The model, its data, and the steps of one run."""

    def __init__(
        self,
        recipe: PhotoTraining,
        records: Sequence[ImageRecord],
        dev: Sequence[ImageRecord],
        folder: Path,
        report: Report,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.report = recipe, folder, report
        self.began = time.monotonic()
        if recipe.start == "packages":
            shape = PhotoShape()
            image_tower = published_image_tower(shape.variant)
            text_tower, self.vocabulary = published_text_tower()
        else:
            model = load_folder(BUNDLED_FOLDER)
            shape, image_tower, text_tower = model.shape, model.image_tower, model.text_tower
            self.vocabulary = list(WordPiece.read(BUNDLED_FOLDER / VOCABULARY_NAME, CONTEXT_LENGTH).ids)
        towers = image_tower, text_tower
        data = PhotoData.make(
            records, dev, shape, towers, self.vocabulary, recipe.n_views, recipe.batch_size, recipe.seed, folder, report
        )  # fmt: skip
        self.bank, self.dev, self.left_out = data.bank, data.dev, data.views.failures
        if recipe.start == "packages":
            model = begin(shape, image_tower, text_tower, data.views.features, data.texts, data.bank,
                          recipe.head_dropout)  # fmt: skip
        else:
            model.image_head.dropout = model.text_head.dropout = recipe.head_dropout
        self.model = model
        self.heads, self.back = _trained_parts(model)
        classes = model.image_tower.classifier.weight.detach()
        self.batches = Batches(data.texts, data.views, data.words, classes, recipe.seed)

    def lock(self) -> dict[str, Any]:
        """Trains the heads on the features of the frozen towers; returns the figures on dev."""
        recipe, file = self.recipe, self.folder / LOCKED
        if file.exists():
            kept = torch.load(file, weights_only=True)
            self.model.load_state_dict(kept["model"])
            torch.set_rng_state(kept["generator"])
            figures: dict[str, Any] = json.loads(kept["figures"])
            return figures
        if recipe.start == "packages":
            rate = Rate(recipe.head_epochs * (len(self.batches) // recipe.head_batch))
            optimizer = torch.optim.AdamW(
                self.heads, lr=recipe.head_rate, betas=BETAS, weight_decay=recipe.weight_decay
            )
            self.model.train()
            for epoch in range(recipe.head_epochs):
                for batch in self.batches.epoch(epoch, recipe.head_batch, recipe.class_pairs, 0.0):
                    self.step(batch, optimizer, rate, [recipe.head_rate])
                if epoch % 4 == 3:
                    self.report(f"heads, epoch {epoch + 1} of {recipe.head_epochs}, {self._minutes()}")
        figures = self.dev.measure(self.model)
        self.report(f"locked: {_recalls(figures)}, {self._minutes()}")
        kept = {"model": self.model.state_dict(), "figures": json.dumps(figures), "generator": torch.get_rng_state()}
        with atomic_writer(file) as stream:
            torch.save(kept, stream)
        return figures

    def choose_average(self, tuning: FineTuning) -> dict[str, Any]:
        """Sets `tuning.average` to the mix of locked and fine-tuned weights with the best rsum; returns its figures."""
        tuned, candidates = copy.deepcopy(tuning.average.state_dict()), []
        for share in SHARES:
            tuning.average.load_state_dict(_between(tuning.locked, tuned, share))
            candidates.append((self.dev.measure(tuning.average), share))
            self.report(f"{share:.0%} fine-tuned: {_recalls(candidates[-1][0])}")
        figures, share = max(candidates, key=lambda pair: float(pair[0]["rsum"]))
        tuning.average.load_state_dict(_between(tuning.locked, tuned, share))
        return {**figures, "share_fine_tuned": share}

    def step(
        self,
        batch: Batch,
        optimizer: torch.optim.Optimizer,
        rate: Rate,
        rates: Sequence[float],
        text: bool = False,
        image: bool = False,
    ) -> float:
        """Updates the weights and returns the loss; `text` and `image` also train that tower, not just the heads.

        Raises:
            StateError: The loss is not finite; nothing was updated.
        """
        model, recipe = self.model, self.recipe
        features = back_features(model.image_tower, batch.front()) if image else batch.features
        if text:
            texts = text_vectors(model, self.bank, batch.text_numbers)
        else:
            pooled = self.bank.pooled[batch.text_numbers]
            texts = model.text_vectors(pooled, pooled)
        n, scale = len(features), model.logit_scale.exp()
        loss = contrastive(model.image_vectors(features), texts[:n], batch.positive, scale)
        of_classes = contrastive(model.image_vectors(batch.synthetic), texts[n:], batch.class_positive, scale)
        loss = loss + recipe.class_weight * of_classes
        if image:
            loss = loss + recipe.keep_weight * distillation(model, features, batch.features)
        if not bool(loss.isfinite()):
            raise StateError("the loss is not finite: lower the rates, for example with --set image_rate=5e-5")
        for group, highest in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = highest * rate.share()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 5.0)
        optimizer.step()
        rate.step += 1
        return float(loss.detach())

    def _minutes(self) -> str:
        return f"{(time.monotonic() - self.began) / 60:.0f} min"


class FineTuning:
    """Trains the heads, the text tower's branch and the image tower's back; `average` is the weights' moving average.

    A `ResumableTraining`. Dropout uses torch's global generator, so its state is part of the checkpoint.
    """

    def __init__(self, run: PhotoRun) -> None:
        """Starts from the locked weights of a run."""
        recipe, model = run.recipe, run.model
        self._run, self._recipe, self._model = run, recipe, model
        self._rate = Rate(recipe.epochs * (len(run.batches) // recipe.batch_size))
        groups = [run.heads, [*model.branch.parameters()], run.back]
        self._rates = [recipe.fine_head_rate, recipe.text_rate, recipe.image_rate]
        self._optimizer = torch.optim.AdamW(
            [{"params": group, "lr": 0.0} for group in groups], betas=BETAS, weight_decay=recipe.weight_decay
        )
        self.locked = copy.deepcopy(model.state_dict())
        self.average = copy.deepcopy(model).eval()

    def settings(self) -> dict[str, Any]:
        """The recipe."""
        return asdict(self._recipe)

    def state(self) -> dict[str, Any]:
        """Weights, their average, the step, and the states of the optimiser and of torch's generator."""
        return {
            "model": self._model.state_dict(), "average": self.average.state_dict(), "step": self._rate.step,
            "optimizer": self._optimizer.state_dict(), "generator": torch.get_rng_state(),
        }  # fmt: skip

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        self._model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._rate.step = state["step"]
        torch.set_rng_state(state["generator"])

    def epoch(self, number: int) -> dict[str, Any]:
        """Trains an epoch; in the last epochs, batches are made of groups of similar images."""
        recipe, run = self._recipe, self._run
        self._model.train()
        if number >= recipe.epochs * (1 - recipe.hard_share):
            run.batches.look_alike(self._model)
        image, losses = number >= recipe.image_from, []
        for batch in run.batches.epoch(1000 + number, recipe.batch_size, recipe.class_pairs, recipe.phrase_share):
            losses.append(run.step(batch, self._optimizer, self._rate, self._rates, text=True, image=image))
            step = self._rate.step
            self._update_average(min(recipe.average_decay, (step + 1) / (step + 10)))
        return {"loss": float(np.mean(losses))}

    def figures(self, number: int) -> dict[str, Any]:
        """The figures of the average on dev, every `measure_every` epochs and after the last; otherwise empty."""
        recipe = self._recipe
        is_measured = (number + 1) % recipe.measure_every == 0 or number + 1 == recipe.epochs
        return self._run.dev.measure(self.average) if is_measured else {}

    def end_epoch(self, history: History, is_best: bool) -> None:
        """Does nothing: `choose_average` selects the weights after the last epoch."""

    @torch.no_grad()
    def _update_average(self, decay: float) -> None:
        for average, parameter in zip(self.average.parameters(), self._model.parameters(), strict=True):
            average.lerp_(parameter, 1 - decay)


def _trained_parts(model: PhotoModel) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """The parameters of the heads and of the image tower's back. Freezes all others except the text tower's branch."""
    back = [*model.image_tower.blocks[FRONT_BLOCKS:], model.image_tower.head]
    heads = [model.image_head, model.text_head, model.gate]
    model.requires_grad_(False)
    for part in (*heads, *back, model.branch):
        part.requires_grad_(True)
    model.logit_scale.requires_grad_(True)
    of_heads = [*(p for part in heads for p in part.parameters()), model.logit_scale]
    return of_heads, [p for part in back for p in part.parameters()]


def _between(locked: dict[str, Tensor], tuned: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    return {name: torch.lerp(locked[name], value, share) for name, value in tuned.items()}


def _recalls(figures: dict[str, Any]) -> str:
    return ", ".join(
        f"{way} " + "/".join(f"{figures[way][f'R@{k}']:.3f}" for k in (1, 5, 10)) for way in ("t2i", "i2t")
    )
