"""Training of VSE++ or CLIP on captioned images: builds the learner and the pairs of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from crossmodal.core.types import ImageRecord
from crossmodal.evaluation.recall import measure
from crossmodal.training.clip_pairs import ClipFineTuning, ClipLearner
from crossmodal.training.device import Device
from crossmodal.training.frozen import FrozenPictures, dev_features
from crossmodal.training.loop import Learner, PairSource, fit
from crossmodal.training.merges import scene_words
from crossmodal.training.pairs import CaptionedPictures
from crossmodal.training.scene_pairs import ScenePairs
from crossmodal.training.scene_pool import draw_pool
from crossmodal.training.trainer import CHECKPOINT, History, Report
from crossmodal.training.vse import VseLearner, VseTraining

Records = Sequence[ImageRecord]


def train_vse_on_scenes(
    recipe: VseTraining, weights: str | None, dev: Records, folder: Path, report: Report
) -> History:
    """Trains VSE++ on scenes that are drawn into `folder/pool`; `fit` lists the other files in `folder`.

    Args:
        recipe: The settings.
        weights: A folder of VSE++ weights to start from, or None for random weights.
        dev: The scenes that select the epoch.
        folder: The folder to write; an interrupted run in it is resumed.
        report: Called with lines of progress.
    """
    device = Device.here(True)  # training from scratch on scenes tolerates bfloat16, which takes half the time
    pool = draw_pool(folder / "pool", recipe.n_scenes, recipe.image_size, recipe.seed)
    scenes = ScenePairs(*pool, recipe.seed)
    learner = VseLearner.start(recipe, scene_words(), weights, device)
    if not (folder / CHECKPOINT).exists():
        learner.see(lambda step: scenes.pretraining_batch(step, recipe.batch_size), report)
    return _fit(recipe, learner, scenes, dev, device, folder, report)


def train_vse(
    recipe: VseTraining, weights: str | None, train: Records, dev: Records, folder: Path, report: Report
) -> History:
    """Trains VSE++ on captioned images. A CNN that stays frozen encodes each image once.

    Takes the arguments of `train_vse_on_scenes` and the records to train on.

    Raises:
        InputError, StateError: As `fit` and `VseLearner.start`.
    """
    device = Device.here(True if recipe.is_frozen else None)
    learner = VseLearner.start(recipe, _captions(train), weights, device)
    if not recipe.is_frozen:
        return _fit(recipe, learner, _pictures(recipe, learner, train), dev, device, folder, report)
    learner.module.eval()
    dev_inputs = dev_features(dev, learner.preprocessing, learner.features, report)
    source = FrozenPictures(train, learner.preprocessing, learner.features, recipe.seed, report)
    return _fit(recipe, learner, source, dev, device, folder, report, dev_inputs)


def train_clip(recipe: ClipFineTuning, train: Records, dev: Records, folder: Path, report: Report) -> History:
    """Trains CLIP on captioned images, from the recipe's weights or from scratch.

    Raises:
        InputError, StateError: As `fit` and `ClipLearner.start`.
    """
    device = Device.here(None)
    learner = ClipLearner.start(recipe, _captions(train), folder, device)
    return _fit(recipe, learner, _pictures(recipe, learner, train), dev, device, folder, report)


def _fit(
    recipe: VseTraining | ClipFineTuning,
    learner: Learner,
    source: PairSource,
    dev: Records,
    device: Device,
    folder: Path,
    report: Report,
    dev_inputs: Tensor | None = None,
) -> History:
    schedule = replace(recipe.schedule, n_workers=device.n_workers)
    return fit(learner, source, dev, schedule, measure, folder, report, dev_inputs)


def _captions(records: Records) -> list[str]:
    return [caption for record in records for caption in record.captions]


def _pictures(recipe: VseTraining | ClipFineTuning, learner: Learner, records: Records) -> CaptionedPictures:
    return CaptionedPictures(records, learner.preprocessing.size_px, recipe.seed, recipe.augmentation)
