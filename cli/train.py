"""train: the small CLIP on scenes, VSE++, or any CLIP on a data set with captions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cli.recipe_settings import with_settings
from crossmodal.core.errors import InputError
from crossmodal.core.settings import Settings
from crossmodal.core.types import ImageRecord
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders.registry import PHOTOS, SCENES

if TYPE_CHECKING:
    from crossmodal.training.clip_settings import ClipTraining
    from crossmodal.training.vse import VseTraining

Report = Callable[[str], None]
R = TypeVar("R", "ClipTraining", "VseTraining")

NO_STEPS = "--steps applies only to `-m clip -d scenes`: set epochs instead, as in `--set epochs=10`"


def run(settings: Settings, steps: int | None, out: Path | None, assignments: Sequence[str], report: Report) -> Path:
    """Trains a model and returns the folder of its weights, for `--weights FOLDER`; resumes a stopped run.

    Args:
        settings: The model, the data set, the initial weights, the number of images, the threads and the workspace.
        steps: Number of steps, only for the small CLIP on scenes.
        out: The folder to write; by default one in the workspace.
        assignments: `NAME=VALUE` settings of the recipe.
        report: Called with lines of progress.

    Raises:
        InputError: A model without a recipe, an unknown setting, or a data set without captions.
    """
    if settings.model not in ("clip", "vse"):
        raise InputError(f"no training recipe for {settings.model!r}: choose clip or vse")
    name = data_sets.canonical(settings.data_set)
    folder = out or settings.workspace / "training" / f"{settings.model}-{data_sets.collection_name(name)}"
    is_small_clip = settings.model == "clip" and name == SCENES and not settings.weights
    if steps and not is_small_clip:
        raise InputError(NO_STEPS)
    if settings.threads:
        import torch

        torch.set_num_threads(settings.threads)
    if is_small_clip:
        from crossmodal.training.clip import train
        from crossmodal.training.clip_settings import ClipTraining

        recipe = _on_scenes(ClipTraining(), settings, assignments)
        train(replace(recipe, steps=steps) if steps else recipe, folder, report)
    elif settings.model == "clip" and settings.weights == PHOTOS:
        _train_photos(settings, name, folder, assignments, report)
    else:
        began = time.monotonic()
        history = _train_on_pairs(settings, name, folder, assignments, report)
        best = max(history, key=lambda entry: float(entry["rsum"]))
        minutes = (time.monotonic() - began) / 60
        report(f"best: epoch {best['epoch']} with rsum {best['rsum']} on dev, {minutes:.0f} minutes")
    return folder


def _on_scenes(recipe: R, settings: Settings, assignments: Sequence[str]) -> R:
    """The recipe with its settings; `num_docs` is the number of scenes to draw.

    Raises:
        InputError: An unknown setting, the number of scenes twice, or fewer scenes than a batch has.
    """
    if settings.num_docs and any(assignment.startswith("n_scenes=") for assignment in assignments):
        raise InputError("--num-docs and --set n_scenes both say how many scenes to draw: remove one")
    result = with_settings(recipe, assignments)
    result = replace(result, n_scenes=settings.num_docs or result.n_scenes)
    if result.n_scenes < result.batch_size:
        raise InputError(
            f"{result.n_scenes} scenes are fewer than a batch of {result.batch_size}: raise --num-docs, or lower "
            "--set batch_size"
        )
    return result


def _train_on_pairs(
    settings: Settings, name: str, folder: Path, assignments: Sequence[str], report: Report
) -> list[dict[str, Any]]:
    """Trains on the data set's captioned images, or VSE++ on scenes; returns the history."""
    from crossmodal.training import on_pairs
    from crossmodal.training.clip_pairs import ClipFineTuning
    from crossmodal.training.splits import captioned
    from crossmodal.training.vse import VSE_ON_PHOTOS, VSE_ON_SCENES, VseTraining

    weights = settings.weights
    if settings.model == "vse" and name == SCENES:
        recipe = _on_scenes(VSE_ON_SCENES, settings, assignments)
        return on_pairs.train_vse_on_scenes(recipe, weights, captioned(name, "dev"), folder, report)
    if settings.model == "vse":
        recipe = with_settings(VSE_ON_PHOTOS if f"backbone={PHOTOS}" in assignments else VseTraining(), assignments)
        return on_pairs.train_vse(recipe, weights, *_splits(settings, name, report), folder, report)
    fine_tuning = with_settings(
        replace(ClipFineTuning(), weights=weights) if weights else ClipFineTuning(), assignments
    )
    return on_pairs.train_clip(fine_tuning, *_splits(settings, name, report), folder, report)


def _splits(settings: Settings, name: str, report: Report) -> tuple[list[ImageRecord], list[ImageRecord]]:
    from crossmodal.training.splits import train_and_dev

    train, dev = train_and_dev(name, settings.num_docs, settings.columns)
    n_captions = sum(len(record.captions) for record in train)
    report(f"{len(train)} pictures with {n_captions} captions for training, {len(dev)} pictures for validation")
    return train, dev


def _train_photos(settings: Settings, name: str, folder: Path, assignments: Sequence[str], report: Report) -> None:
    from crossmodal.training.photos import PhotoTraining, train
    from crossmodal.training.splits import captioned, train_and_dev

    recipe = with_settings(PhotoTraining(), assignments)
    records, dev = train_and_dev(name, settings.num_docs, settings.columns)
    for further in filter(None, recipe.extra.split(",")):
        records += captioned(data_sets.canonical(further), None)
    report(f"{len(records)} pictures for training, {len(dev)} for validation")
    train(recipe, records, dev, folder, report)
