"""train: the small CLIP on scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from crossmodal.core.errors import InputError
from crossmodal.core.settings import Settings
from crossmodal.datasets import registry as data_sets


def run(settings: Settings, steps: int | None, out: Path | None, report: Callable[[str], None]) -> Path:
    """Trains and returns the folder of weights, which `--weights FOLDER` loads; a stopped run goes on.

    Raises:
        InputError: Another model or data set than the one there is a recipe for.
    """
    if (settings.model, data_sets.canonical(settings.data_set)) not in (("clip", "scenes"), ("clip", "toy-data")):
        raise InputError("there is a recipe for `-m clip -d scenes` only")
    from crossmodal.training.clip import ClipTraining, train

    folder = out or settings.workspace / "training" / "clip-scenes"
    train(replace(ClipTraining(), **({"steps": steps} if steps else {})), folder, report)
    return folder
