"""Several models on one set: their figures with intervals, paired differences, and the queries that tell them apart."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.engine import Precision
from crossmodal.core.files import write_atomically
from crossmodal.core.types import ModelSpec, image_id
from crossmodal.evaluation import resampling
from crossmodal.evaluation.evaluation_set import EvaluationSet
from crossmodal.evaluation.exact import Evaluation
from crossmodal.evaluation.misses import Ranked
from crossmodal.evaluation.recall import NOT_FOUND
from crossmodal.evaluation.resampling import differences, each_measured, measured
from crossmodal.evaluation.speed import Cost

FORMAT = 1
NAME, PICTURES = "comparison.json", "differences"
SHOWN_A_PAIR = 12
"""Queries shown for a pair of models: half of them better with each."""


@dataclass(frozen=True)
class Compared:
    """A model or a collection, how it ran, and what it achieved and cost.

    Attributes:
        spec: The model.
        precision: The arithmetic of its vectors.
        engine: How it ran, in words.
        evaluation: What it achieved.
        cost: None if it was not measured.
        collection: The name of the collection whose indexes were searched; empty for exact scores.
    """

    spec: ModelSpec
    precision: Precision
    engine: str
    evaluation: Evaluation
    cost: Cost | None = None
    collection: str = ""


def compare(subject: EvaluationSet, models: Sequence[Compared]) -> dict[str, Any]:
    """The content of `comparison.json`, without the queries that tell models apart.

    Returns:
        `{"format", "created", "set", "seed", "bootstrap", "models", "pairs", "differences": []}`. Positive differences
        of a pair mean that its model `b` is better.
    """
    labels = names_of(models)
    described = [_model(label, model) for label, model in zip(labels, models, strict=True)]
    return {
        "format": FORMAT,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "set": {
            "name": Path(subject.name).name,
            "split": subject.split,
            "n_pictures": len(subject.records),
            "n_captions": len(subject.captions),
        },
        "seed": resampling.SEED,
        "bootstrap": {"samples": resampling.SAMPLES, "confidence": resampling.CONFIDENCE},
        "models": described,
        "pairs": [pair for a, b in combinations(range(len(models)), 2) for pair in _pairs(models, a, b)],
        "differences": [],
    }


def names_of(models: Sequence[Compared]) -> list[str]:
    """A short name of each model, with its precision, and a number where that does not tell them apart."""
    names = [
        f"collection {model.collection}"
        if model.collection
        else f"{model.spec.family} {_weights(model.spec)} {model.precision}"
        for model in models
    ]
    return [name if names.count(name) == 1 else f"{name} ({n})" for n, name in enumerate(names, 1)]


def _weights(spec: ModelSpec) -> str:
    """The name of the weights, without the folders of a local file."""
    is_local = spec.weights.startswith("/") or "//" in spec.weights  # a path, or ARCHITECTURE/PATH
    return Path(spec.weights).name if is_local else spec.weights


def _model(label: str, model: Compared) -> dict[str, Any]:
    cost = model.cost or Cost()
    return {
        "name": label,
        "weights": f"{model.spec.family}:{_weights(model.spec)}",
        "weights_hash": model.spec.weights_hash,
        "precision": model.precision,
        "dim": model.spec.dim,
        **cost._asdict(),
        "measures": measured(model.evaluation.outcomes),
        "skills": each_measured(model.evaluation.skills),
    }


def _pairs(models: Sequence[Compared], a: int, b: int) -> list[dict[str, Any]]:
    first, second = models[a].evaluation, models[b].evaluation
    found = differences(first.outcomes, second.outcomes)
    for skill in first.skills:  # each over clusters of its own
        found |= differences({skill: first.skills[skill]}, second.skills)
    return [
        {"a": a, "b": b, "measure": measure, "difference": round(difference.value, 5), "low": round(difference.low, 5)}
        | {"high": round(difference.high, 5), "p": round(difference.p, 4)}
        for measure, difference in found.items()
    ]


def telling(
    models: Sequence[Compared], image_of: NDArray[np.int64], n: int = SHOWN_A_PAIR
) -> list[tuple[int, list[int | None]]]:
    """The captions on which models differ most, and the rank of each one's picture with each model; None if unknown.

    A difference is that of the reciprocal ranks. Each pair of models contributes up to n captions of different
    pictures, half of them better with each model; none for class folders.
    """
    ranked = [model.evaluation.ranked for model in models]
    ranks = np.array([of_model.t2i.ranks for of_model in ranked if isinstance(of_model, Ranked)])
    if not len(ranks):
        return []
    chosen: dict[int, None] = {}
    for a, b in combinations(range(len(models)), 2):
        gain = 1 / ranks[b] - 1 / ranks[a]
        for signed in (gain, -gain):
            pictures: set[int] = set()
            for caption in np.argsort(-signed, kind="stable").tolist():
                if signed[caption] <= 0 or len(pictures) == n // 2:
                    break
                if image_of[caption] not in pictures:
                    pictures.add(int(image_of[caption]))
                    chosen[caption] = None
    return [
        (caption, [None if rank == NOT_FOUND else rank for rank in ranks[:, caption].tolist()]) for caption in chosen
    ]


def write(folder: Path, comparison: dict[str, Any], subject: EvaluationSet, models: Sequence[Compared]) -> Path:
    """Writes `comparison.json` and the thumbnails of the pictures that tell models apart, and returns the file.

    The thumbnails are named by their picture's id, so those of an earlier comparison stay valid until its file is
    replaced.

    Raises:
        InputError: A picture can't be read any more.
    """
    pictures = folder / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    shown: list[dict[str, Any]] = []
    for caption, ranks in telling(models, subject.image_of):
        picture = int(subject.image_of[caption])
        name = f"{image_id(subject.content(picture))}.jpg"
        write_atomically(pictures / name, subject.thumbnail(picture))
        shown.append({"query": subject.captions[caption], "picture": name, "ranks": ranks})
    path = folder / NAME
    content = json.dumps({**comparison, "differences": shown}, indent=1, allow_nan=False)
    write_atomically(path, f"{content}\n".encode())
    for old in set(pictures.iterdir()) - {pictures / entry["picture"] for entry in shown}:
        old.unlink()
    return path
