"""train: the small CLIP on scenes; VSE++ or any CLIP on a data set with captions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.core.settings import Settings
from crossmodal.core.types import ImageRecord, Vectors
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import photos
from crossmodal.evaluation.recall import both_ways, figures

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Report = Callable[[str], None]
S = TypeVar("S", bound="DataclassInstance")


def run(settings: Settings, steps: int | None, out: Path | None, given: Sequence[str], report: Report) -> Path:
    """Trains and returns the folder of weights, which `--weights FOLDER` loads; a stopped run goes on.

    Args:
        settings: Model, data set, weights to start from, number of pictures, workspace.
        steps: For the small CLIP on scenes only.
        out: The folder to write; by default one in the workspace.
        given: `NAME=VALUE` settings of the recipe.
        report: Called with a line of progress now and then.

    Raises:
        InputError: A model there is no recipe for, an unknown setting, or a data set without captions.
    """
    if settings.model not in ("clip", "vse"):
        raise InputError(f"there is no recipe to train {settings.model!r}: choose clip or vse")
    name = data_sets.canonical(settings.data_set)
    folder = out or settings.workspace / "training" / f"{settings.model}-{data_sets.collection_name(name)}"
    on_scenes = name == "scenes"
    if settings.model == "clip" and on_scenes and not settings.weights:
        from crossmodal.training.clip import ClipTraining, train

        own = _with(ClipTraining(), given)
        train(replace(own, steps=steps) if steps else own, folder, report)
        return folder
    if settings.model == "clip" and settings.weights == photos.NAME:
        _train_photos(settings, name, folder, given, report)
        return folder
    if steps:
        raise InputError("--steps is for `-m clip -d scenes`: give epochs here, as in `--set epochs=10`")
    _train_on_pairs(settings, name, folder, given, report)
    return folder


def _train_on_pairs(settings: Settings, name: str, folder: Path, given: Sequence[str], report: Report) -> None:
    from crossmodal.training.clip_pairs import ClipFineTuning, ClipLearner
    from crossmodal.training.device import Device
    from crossmodal.training.frozen import FrozenPictures, dev_features
    from crossmodal.training.loop import CHECKPOINT, Learner, PairSource, fit
    from crossmodal.training.merges import scene_words
    from crossmodal.training.pairs import CaptionedPictures
    from crossmodal.training.scene_batches import draw_pool
    from crossmodal.training.scene_pairs import ScenePairs
    from crossmodal.training.vse import VSE_ON_PHOTOS, VSE_ON_SCENES, VseLearner, VseTraining

    began = time.monotonic()
    # What is learnt from nothing on scenes stands 16 bits on a CPU too, and takes half the time.
    device = Device.here(True if name == "scenes" else None)
    recipe: VseTraining | ClipFineTuning
    learner: Learner
    train: PairSource
    dev_inputs = None
    if settings.model == "vse" and name == "scenes":
        recipe = own = _with(VSE_ON_SCENES, given)
        dev = _captioned(name, "dev")
        drawn = draw_pool(folder / "pool", own.n_scenes, own.image_size, own.seed)
        scenes = ScenePairs(*drawn, own.seed)
        learner = VseLearner.start(own, scene_words(), settings.weights, device)
        train = scenes
        if not (folder / CHECKPOINT).exists():
            learner.see(lambda step: scenes.to_see(step, own.batch_size), report)
    else:
        records, dev = splits(name, settings.num_docs, settings.columns)
        captions = [caption for record in records for caption in record.captions]
        report(f"{len(records)} pictures with {len(captions)} captions to learn from, {len(dev)} pictures to choose by")
        if settings.model == "vse":
            on_photos = f"backbone={photos.NAME}" in given
            recipe = own = _with(VSE_ON_PHOTOS if on_photos else VseTraining(), given)
            device = Device.here(True) if own.is_frozen else device
            learner = VseLearner.start(own, captions, settings.weights, device)
        else:
            start = replace(ClipFineTuning(), weights=settings.weights) if settings.weights else ClipFineTuning()
            recipe = _with(start, given)
            learner = ClipLearner.start(recipe, captions, folder, device)
        if isinstance(recipe, VseTraining) and recipe.is_frozen and isinstance(learner, VseLearner):
            learner.module.eval()
            dev_inputs = dev_features(dev, learner.preprocessing, learner.features, report)
            train = FrozenPictures(records, learner.preprocessing, learner.features, recipe.seed, report)
        else:
            train = CaptionedPictures(records, learner.preprocessing.size_px, recipe.seed, recipe.augmentation)
    schedule = replace(recipe.schedule, n_workers=device.n_workers)
    history = fit(learner, train, dev, schedule, measure, folder, report, dev_inputs)
    best = max(history, key=lambda entry: float(entry["rsum"]))
    minutes = (time.monotonic() - began) / 60
    report(f"best: epoch {best['epoch']} with rsum {best['rsum']} on dev, {minutes:.0f} minutes")


def _train_photos(settings: Settings, name: str, folder: Path, given: Sequence[str], report: Report) -> None:
    from crossmodal.training.photos import PhotoTraining, train

    recipe = _with(PhotoTraining(), given)
    records, dev = splits(name, settings.num_docs, settings.columns)
    for further in filter(None, recipe.extra.split(",")):
        records += _captioned(data_sets.canonical(further), None)
    report(f"{len(records)} pictures to learn from, {len(dev)} to choose by")
    train(recipe, records, dev, measure, folder, report)


Named = tuple[tuple[str, str], ...]


def splits(name: str, at_most: int | None, columns: Named = ()) -> tuple[list[ImageRecord], list[ImageRecord]]:
    """The train and dev records of a data set that has captions and splits; `dev` may also be called `val`.

    Raises:
        InputError: It has no such split; the message names those it has.
    """
    train = _captioned(name, "train", columns)
    try:
        return train[:at_most], _captioned(name, "dev", columns)
    except InputError:
        return train[:at_most], _captioned(name, "val", columns)


def _captioned(name: str, split: str | None, columns: Named = ()) -> list[ImageRecord]:
    return [r for r in data_sets.read(name, split, columns) if isinstance(r, ImageRecord) and r.captions]


def measure(images: Vectors, texts: Vectors, image_of: NDArray[np.int64]) -> dict[str, Any]:
    """Recall both ways and rsum."""
    return figures(*both_ways(images, texts, image_of))


def _with(settings: S, given: Sequence[str]) -> S:
    """The settings with `NAME=VALUE` put in, each value of its setting's type.

    Raises:
        InputError: An unknown name, or a value of another type; the known names are given.
    """
    known = {field.name: getattr(settings, field.name) for field in fields(settings)}
    hints = get_type_hints(type(settings))
    changes: dict[str, Any] = {}
    for item in given:
        name, is_there, value = item.partition("=")
        if not is_there or name not in known:
            raise InputError(f"--set {item!r}: give NAME=VALUE with a name of {', '.join(known)}")
        kind = float if known[name] is None else type(known[name])
        try:
            changes[name] = kind(value)
        except ValueError as error:
            raise InputError(f"--set {item!r}: expected a value like {known[name]!r}") from error
        if get_origin(hints[name]) is Literal and value not in get_args(hints[name]):
            raise InputError(f"--set {item!r}: choose one of {', '.join(get_args(hints[name]))}")
    return replace(settings, **changes)
