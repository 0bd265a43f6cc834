"""Trains the `photos` weights in three stages: heads on frozen towers, upper halves of both towers, weight averaging.

Training on captions alone would make the model forget the thousand classes of its image tower. So each step also
contrasts class names and their hypernyms with synthetic features of these classes, and a distillation loss keeps the
tower's class predictions close to those before training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from crossmodal.core.types import ImageRecord
from crossmodal.encoders.conversion import quantize_photos
from crossmodal.encoders.photo_model import save_folder
from crossmodal.training.photos_data import check_batch_size
from crossmodal.training.photos_run import FineTuning, PhotoRun
from crossmodal.training.trainer import SETTINGS, History, Report, Trainer


@dataclass(frozen=True)
class PhotoTraining:
    """The recipe of the `photos` weights.

    `start` is `packages` for the published towers with new heads, or `bundled` to continue from the `photos` weights.
    `extra` names further data sets, separated by commas; all of their captioned images are added to the train split.
    The rates are AdamW's; a tower's rate applies to its upper half. `phrase_share` of the texts are noun phrases cut
    out of captions. The image tower's back is trained from epoch `image_from` on and takes several times as long as the
    text tower's branch. In the last `hard_share` of the epochs, batches are made of groups of similar images.
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
    """Trains, writes the weights to `folder` and returns the figures on dev; resumes an interrupted run.

    `-m clip --weights FOLDER` loads the weights.

    Args:
        recipe: See `PhotoTraining`.
        records: Captioned training images; those that can't be read are reported and left out.
        dev: Captioned images that select the weights.
        folder: The folder for caches, checkpoints and the finished weights.
        report: Called with lines of progress.

    Returns:
        The figures by stage: `locked`, `fine_tuned`, `averaged`.

    Raises:
        InputError: A package is missing, or fewer images than `batch_size` can be read.
        PictureError: An image of `dev` can't be read.
        StateError: The loss is not finite, or `folder` has a run with other settings.
    """
    check_batch_size(recipe.batch_size, len(records))
    folder.mkdir(parents=True, exist_ok=True)
    run = PhotoRun(recipe, records, dev, folder, report)
    stages = {"locked": run.lock()}
    tuning = FineTuning(run)
    stages["fine_tuned"] = _last_measured(Trainer(recipe.epochs, report).resume(tuning, folder))
    stages["averaged"] = run.choose_average(tuning)
    save_folder(tuning.average, run.vocabulary, folder)
    report(f"quantized to int8: {quantize_photos(folder, str(folder))}")
    left_out = [asdict(failure) for failure in run.left_out]
    summary = {"recipe": asdict(recipe), "pictures": len(run.batches), "left_out": left_out, "dev": stages}
    (folder / SETTINGS).write_text(json.dumps(summary, indent=2) + "\n", "utf8")
    return stages


def _last_measured(history: History) -> dict[str, Any]:
    """The figures of the last epoch, which is always evaluated."""
    return {name: history[-1][name] for name in ("t2i", "i2t", "rsum")}
