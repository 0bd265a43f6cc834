"""Trains the `photos` weights: heads over frozen towers, then the upper halves of both towers, then their average.

Captions alone would teach the model to forget the thousand classes of its image tower, so each step also has class
names and more general words against made-up features of those classes, and keeps the classes that the tower sees in an
image near those it saw before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from crossmodal.core.errors import InputError
from crossmodal.core.types import ImageRecord
from crossmodal.encoders.photo_model import save_folder
from crossmodal.training.photos_run import FineTuning, PhotoRun
from crossmodal.training.trainer import SETTINGS, History, Report, Trainer


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
        records: Captioned images to learn from.
        dev: Captioned images to choose by.
        folder: Caches, checkpoints and the finished weights.
        report: Called with lines of progress.

    Returns:
        The figures on dev by stage: `locked`, `fine_tuned`, `averaged`.

    Raises:
        InputError: A package is missing, an image can't be read, or there are fewer images than a batch has.
        StateError: The loss is not finite, or the folder is of a run with other settings.
    """
    if len(records) < recipe.batch_size:
        raise InputError(
            f"{len(records)} pictures are fewer than a batch of {recipe.batch_size}: give a smaller one, "
            f"as in --set batch_size={max(2, len(records) // 4)}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    run = PhotoRun(recipe, records, dev, folder, report)
    stages = {"locked": run.lock()}
    tuning = FineTuning(run)
    stages["fine_tuned"] = _last_measured(Trainer(recipe.epochs, report).resume(tuning, folder))
    stages["averaged"] = run.choose_average(tuning)
    save_folder(tuning.average, run.vocabulary, folder)
    told = {"recipe": asdict(recipe), "pictures": len(run.batches), "dev": stages}
    (folder / SETTINGS).write_text(json.dumps(told, indent=2) + "\n", "utf8")
    return stages


def _last_measured(history: History) -> dict[str, Any]:
    """The figures of the last epoch, which is always measured."""
    return {name: history[-1][name] for name in ("t2i", "i2t", "rsum")}
