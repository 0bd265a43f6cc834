"""Trains the `photos` weights: heads over frozen towers, then the upper halves of both towers, then their average.

Captions alone would teach the model to forget what its image tower knows of a thousand classes, so each step also has
class names and their more general words against made-up features of those classes, and keeps the classes that the
tower sees in a picture near those it saw before.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from crossmodal.core.errors import StateError
from crossmodal.core.files import atomic_writer
from crossmodal.core.types import ImageRecord
from crossmodal.encoders.photo_model import PhotoModel, load_folder, save_folder
from crossmodal.encoders.photos import BUNDLED_FOLDER, CONTEXT_LENGTH, VOCABULARY_NAME, PhotoShape
from crossmodal.encoders.wordpiece import WordPiece
from crossmodal.evaluation import recall
from crossmodal.training.photos_batches import Batch, Batches, Texts
from crossmodal.training.photos_begin import begin
from crossmodal.training.photos_start import published_image_tower, published_text_tower
from crossmodal.training.photos_steps import Rate, back_features, contrastive, distillation, text_vectors
from crossmodal.training.photos_texts import ClassWords, TextBank
from crossmodal.training.photos_views import FRONT_BLOCKS, make_views

Report = Callable[[str], None]
CHECKPOINT, LOCKED, SETTINGS = "checkpoint.pt", "locked.pt", "training.json"
BETAS = (0.9, 0.98)
EVALUATION_BATCH = 100


@dataclass(frozen=True)
class PhotoTraining:
    """The recipe. `start` is `packages` for the published towers and new heads, `bundled` to go on from `photos`.

    `extra` names further data sets, separated by commas, all of whose captioned pictures are learned from too. Rates
    are of AdamW; the towers' is for their upper halves. `phrase_share` of the texts are noun phrases cut out of
    captions. The image tower's back is trained from epoch `image_from` on, which takes several times as long as the
    text tower's branch alone. In the last `hard_share` of the epochs, batches are made of pictures that look alike.
    """

    start: Literal["packages", "bundled"] = "bundled"
    extra: str = ""
    n_views: int = 4
    head_epochs: int = 16
    head_rate: float = 1e-3
    head_batch: int = 512
    head_dropout: float = 0.3
    epochs: int = 10
    image_from: int = 6
    batch_size: int = 384
    image_rate: float = 3e-4
    text_rate: float = 1e-4
    fine_head_rate: float = 3e-4
    weight_decay: float = 0.05
    class_pairs: int = 192
    class_weight: float = 0.5
    keep_weight: float = 1.0
    phrase_share: float = 0.15
    hard_share: float = 0.3
    average_decay: float = 0.97
    measure_every: int = 3
    seed: int = 0


def train(
    recipe: PhotoTraining,
    records: Sequence[ImageRecord],
    dev: Sequence[ImageRecord],
    folder: Path,
    report: Report,
) -> dict[str, Any]:
    """Trains into `folder`, which `-m clip --weights FOLDER` loads; a stopped run goes on after its last epoch.

    Args:
        recipe: See `PhotoTraining`.
        records: Captioned pictures to learn from.
        dev: Captioned pictures to choose by.
        folder: Caches, checkpoints and the finished weights.
        report: Called with lines of progress.

    Returns:
        The figures on dev by stage: `locked`, `fine_tuned`, `averaged`.

    Raises:
        InputError: A package is missing or a picture can't be read.
        StateError: The loss is no number any more, or the folder is of a run with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(recipe, records, dev, folder, report)
    run.lock()
    run.fine_tune()
    return run.finish()


class _Run:
    """One run: its data behind the frozen parts, the model, and where it stands."""

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
        # Captions speak of the whole picture, so none of it is cut off.
        wanted = replace(shape.preprocessing, resize="squash")
        views = make_views(records, image_tower, wanted, recipe.n_views, recipe.seed, folder / "train-views", report)
        self.dev_views = make_views(dev, image_tower, wanted, 1, recipe.seed, folder / "dev-views", report)
        tokenizer = WordPiece(self.vocabulary, CONTEXT_LENGTH)
        self.words = ClassWords.read()
        texts = Texts.of(records, self.words)
        cut = shape.branch_from
        self.bank = TextBank.make(texts.all, text_tower, tokenizer, cut, folder / "train-texts.npz", report)
        dev_captions = [caption for record in dev for caption in record.captions]
        self.dev_bank = TextBank.make(dev_captions, text_tower, tokenizer, cut, folder / "dev-texts.npz", report)
        self.dev_image_of = np.repeat(np.arange(len(dev)), [len(record.captions) for record in dev])
        if recipe.start == "packages":
            model = begin(shape, image_tower, text_tower, views.features, texts, self.bank, recipe.head_dropout)
        else:
            model.image_head.dropout = model.text_head.dropout = recipe.head_dropout
        self.model = model
        back = [*model.image_tower.blocks[FRONT_BLOCKS:], model.image_tower.head]
        heads = [model.image_head, model.text_head, model.gate]
        model.requires_grad_(False)
        for part in (*heads, *back, model.branch):
            part.requires_grad_(True)
        model.logit_scale.requires_grad_(True)
        self.heads = [*(p for part in heads for p in part.parameters()), model.logit_scale]
        self.back = [p for part in back for p in part.parameters()]
        classes = model.image_tower.classifier.weight.detach()
        self.batches = Batches(texts, views, self.words, classes, recipe.seed)
        self.stages: dict[str, Any] = {}

    def lock(self) -> None:
        """Trains the heads over the features that the frozen towers gave."""
        recipe, file = self.recipe, self.folder / LOCKED
        if file.exists():
            kept = torch.load(file, weights_only=True)
            self.model.load_state_dict(kept["model"])
            self.stages["locked"] = json.loads(kept["figures"])
            return
        if recipe.start == "packages":
            per_epoch = len(self.batches) // recipe.head_batch
            rate = Rate(recipe.head_epochs * per_epoch)
            optimizer = torch.optim.AdamW(
                self.heads, lr=recipe.head_rate, betas=BETAS, weight_decay=recipe.weight_decay
            )
            self.model.train()
            for epoch in range(recipe.head_epochs):
                for batch in self.batches.epoch(epoch, recipe.head_batch, recipe.class_pairs, 0.0):
                    self._step(batch, optimizer, rate, [recipe.head_rate])
                if epoch % 4 == 3:
                    self.report(f"heads, epoch {epoch + 1} of {recipe.head_epochs}, {self._minutes()}")
        self.stages["locked"] = self.measure(self.model)
        self.report(f"locked: {_told(self.stages['locked'])}, {self._minutes()}")
        torch.save({"model": self.model.state_dict(), "figures": json.dumps(self.stages["locked"])}, file)

    def fine_tune(self) -> None:
        """Trains heads, the text tower's branch and the image tower's back, and keeps a moving average."""
        recipe, file = self.recipe, self.folder / CHECKPOINT
        per_epoch = len(self.batches) // recipe.batch_size
        rate = Rate(recipe.epochs * per_epoch)
        groups = [self.heads, [*self.model.branch.parameters()], self.back]
        rates = [recipe.fine_head_rate, recipe.text_rate, recipe.image_rate]
        optimizer = torch.optim.AdamW(
            [{"params": group, "lr": 0.0} for group in groups], betas=BETAS, weight_decay=recipe.weight_decay
        )
        self.start = copy.deepcopy(self.model.state_dict())
        self.average = copy.deepcopy(self.model).eval()
        done = 0
        if file.exists():
            state = torch.load(file, weights_only=True)
            if state["recipe"] != json.dumps(asdict(recipe)):
                raise StateError(f"{self.folder} is of a run with other settings: name another folder with --out")
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            optimizer.load_state_dict(state["optimizer"])
            done = rate.step = state["step"]
        for epoch in range(done // max(per_epoch, 1), recipe.epochs):
            self.model.train()
            if epoch >= recipe.epochs * (1 - recipe.hard_share):
                self.batches.look_alike(self.model)
            losses = []
            for batch in self.batches.epoch(1000 + epoch, recipe.batch_size, recipe.class_pairs, recipe.phrase_share):
                losses.append(self._step(batch, optimizer, rate, rates, text=True, image=epoch >= recipe.image_from))
                self._follow(min(recipe.average_decay, (rate.step + 1) / (rate.step + 10)))
            told = f"epoch {epoch + 1} of {recipe.epochs}, loss {np.mean(losses):.3f}, {self._minutes()}"
            if (epoch + 1) % recipe.measure_every == 0 or epoch + 1 == recipe.epochs:
                self.stages["fine_tuned"] = self.measure(self.average)
                told += f": {_told(self.stages['fine_tuned'])}"
            self.report(told)
            state = {
                "model": self.model.state_dict(), "average": self.average.state_dict(), "step": rate.step,
                "optimizer": optimizer.state_dict(), "recipe": json.dumps(asdict(recipe)),
            }  # fmt: skip
            with atomic_writer(file) as checkpoint:
                torch.save(state, checkpoint)

    def finish(self) -> dict[str, Any]:
        """Chooses between the locked and the fine-tuned weights, or what lies between, on dev; writes the folder."""
        if "fine_tuned" not in self.stages:
            self.stages["fine_tuned"] = self.measure(self.average)
        tuned, found = copy.deepcopy(self.average.state_dict()), []
        for share in (0.5, 0.7, 0.85, 1.0):
            self._between(tuned, share)
            found.append((self.measure(self.average), share))
            self.report(f"{share:.0%} fine-tuned: {_told(found[-1][0])}")
        figures, share = max(found, key=lambda pair: float(pair[0]["rsum"]))
        self._between(tuned, share)
        self.stages["averaged"] = {**figures, "share_fine_tuned": share}
        save_folder(self.average, self.vocabulary, self.folder)
        told = {
            "recipe": asdict(self.recipe), "pictures": len(self.batches),
            "dev": self.stages,
        }  # fmt: skip
        (self.folder / SETTINGS).write_text(json.dumps(told, indent=2) + "\n", "utf8")
        return self.stages

    def _between(self, tuned: dict[str, Tensor], share: float) -> None:
        self.average.load_state_dict({n: torch.lerp(self.start[n], value, share) for n, value in tuned.items()})

    @torch.no_grad()
    def measure(self, model: PhotoModel) -> dict[str, Any]:
        """Figures of a model on dev."""
        was_training = model.training
        model.eval()
        images = []
        for start in range(0, len(self.dev_views.front), EVALUATION_BATCH):
            front = torch.from_numpy(np.array(self.dev_views.front[start : start + EVALUATION_BATCH, 0])).float()
            images.append(model.image_vectors(back_features(model.image_tower, front)))
        texts = text_vectors(model, self.dev_bank, range(len(self.dev_image_of)))
        model.train(was_training)
        return recall.measure(torch.cat(images).numpy(), texts.numpy(), self.dev_image_of)

    def _step(
        self,
        batch: Batch,
        optimizer: torch.optim.Optimizer,
        rate: Rate,
        rates: Sequence[float],
        text: bool = False,
        image: bool = False,
    ) -> float:
        """The loss of a step; `text` and `image` say which towers are trained beside the heads."""
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
            raise StateError("the loss is no number any more: lower the rates, for example with --set image_rate=5e-5")
        for group, highest in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = highest * rate.share()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 5.0)
        optimizer.step()
        rate.step += 1
        return float(loss.detach())

    def _follow(self, decay: float) -> None:
        with torch.no_grad():
            for mine, theirs in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mine.lerp_(theirs, 1 - decay)

    def _minutes(self) -> str:
        return f"{(time.monotonic() - self.began) / 60:.0f} min"


def _told(figures: dict[str, Any]) -> str:
    return ", ".join(
        f"{way} " + "/".join(f"{figures[way][f'R@{k}']:.3f}" for k in (1, 5, 10)) for way in ("t2i", "i2t")
    )
