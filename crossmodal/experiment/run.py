"""Runs an experiment: every model, layer and metric on a set of pictures; after an interruption it continues."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from crossmodal import __version__
from crossmodal.core.errors import InputError
from crossmodal.core.families import FAMILIES
from crossmodal.encoders import registry
from crossmodal.encoders.catalogue import terms_of
from crossmodal.experiment.cache import Cache
from crossmodal.experiment.features import Model, ModelFeatures
from crossmodal.experiment.files import FORMAT, check_name, experiments_folder, write_experiment
from crossmodal.experiment.layers import DEFAULT_LAYERS
from crossmodal.experiment.measured import Measured
from crossmodal.experiment.metrics import Metric
from crossmodal.experiment.pictures import PictureSet, Progress, read_pictures

METRICS = ("cosine", "euclidean", "sqeuclidean", "minkowski:3")
SEED = 0
"""The seed of the maps and of random weights; nothing else is random."""

Layers: TypeAlias = Sequence[tuple[ModelFeatures, Sequence[str]]]
"""The models, each with its layers."""


@dataclass(frozen=True)
class Plan:
    """What to measure. `layers` is a number of evenly spaced layers, or names."""

    data_set: str
    name: str
    models: tuple[str, ...]
    metrics: tuple[str, ...] = METRICS
    layers: int | tuple[str, ...] = DEFAULT_LAYERS
    split: str | None = None
    at_most: int | None = None
    threads: int | None = None


def cache_folder(workspace: Path) -> Path:
    """The folder of the cache of a workspace; it may be missing."""
    return workspace / "cache"


def run(plan: Plan, workspace: Path, progress: Progress) -> tuple[Path, dict[str, Any]]:
    """Runs an experiment and writes it to a folder of the workspace.

    Returns:
        The folder, WORKSPACE/experiments/NAME, and the content of its experiment.json.

    Raises:
        InputError: A model, layer or metric is unknown, or the set has fewer than two readable pictures.
        StateError: Weights must be downloaded and can't be, or the cache can't be written.
    """
    started = time.monotonic()
    folder = experiments_folder(workspace) / check_name(plan.name)
    metrics = [Metric.parse(name) for name in dict.fromkeys(plan.metrics)]
    models = [parse_model(name) for name in dict.fromkeys(plan.models)]
    if not models or not metrics:
        raise InputError("an experiment needs models and metrics: name them with --models and --metrics")
    with Cache(cache_folder(workspace)) as cache:
        pictures = read_pictures(plan.data_set, cache, progress, plan.split, plan.at_most)
        features = [ModelFeatures(model, cache, plan.threads) for model in models]
        layers = [(of_model, of_model.layers(plan.layers)) for of_model in features]
        for of_model, names in layers:
            with progress(of_model.model.name, len(pictures.pictures)) as stage:
                of_model.compute(pictures.pictures, names, stage.advance)
        measured = Measured(pictures, cache)
        with progress("layers measured", sum(len(names) for _, names in layers)) as stage:
            for of_model, names in layers:
                for layer in names:
                    measured.measure(of_model, layer, metrics)
                    stage.advance(1)
        experiment = _content(pictures, layers, metrics, measured, started)
        write_experiment(folder, experiment, _files(pictures, layers, metrics, measured))
    return folder, experiment


def parse_model(name: str) -> Model:
    """The model with a name: FAMILY:WEIGHTS, a FAMILY with its default weights, or weights of the family `timm`.

    Raises:
        InputError: It is unknown.
        StateError: The weights must be downloaded and can't be.
    """
    family, _, weights = name.partition(":")
    if family not in FAMILIES:
        return Model(name, registry.resolve("timm", name))
    return Model(name, registry.resolve(family, weights or registry.default_weights(family, "")))


def _content(
    pictures: PictureSet, layers: Layers, metrics: Sequence[Metric], measured: Measured, started: float
) -> dict[str, Any]:
    """The content of experiment.json."""
    class_of = [None] * len(pictures.pictures) if pictures.class_of is None else pictures.class_of.tolist()
    results = [
        {"model": i, "layer": j, "metric": k, **measured.summary(of_model, layer, metric)}
        for i, (of_model, names) in enumerate(layers)
        for j, layer in enumerate(names)
        for k, metric in enumerate(metrics)
    ]
    return {
        "format": FORMAT,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.monotonic() - started, 1),
        "seed": SEED,
        "versions": {"crossmodal": __version__, **{name: version(name) for name in ("torch", "timm", "umap-learn")}},
        "set": {
            "name": pictures.name,
            "n": len(pictures.pictures),
            "classes": pictures.classes,
            "skipped": [failure.to_dict() for failure in pictures.skipped],
        },
        "pictures": [
            {"id": p.id, "path": p.path, "class": number, "width": p.width, "height": p.height}
            for p, number in zip(pictures.pictures, class_of, strict=True)
        ],
        "models": [_described(of_model, names, pictures) for of_model, names in layers],
        "metrics": [str(metric) for metric in metrics],
        "results": results,
    }


def _described(features: ModelFeatures, names: Sequence[str], pictures: PictureSet) -> dict[str, Any]:
    spec = features.model.spec
    return {
        "name": features.model.name,
        "family": spec.family,
        "weights": spec.weights,
        "weights_hash": spec.weights_hash,
        "trained": not spec.encoder.weights_hash.startswith("random-"),
        "terms": terms_of(spec),
        "layers": [{"name": name, "dim": features.dim(pictures.pictures[0], name)} for name in names],
        "encode_s": features.seconds(len(pictures.pictures)),
    }


def _files(
    pictures: PictureSet, layers: Layers, metrics: Sequence[Metric], measured: Measured
) -> Iterator[tuple[str, bytes]]:
    """The files beside experiment.json."""
    for number, picture in enumerate(pictures.pictures):
        yield f"pictures/{number}.jpg", picture.thumbnail
    for i, (of_model, names) in enumerate(layers):
        for j, layer in enumerate(names):
            yield f"umap/{i}-{j}.json", measured.content(of_model, layer, "map")
            for k, metric in enumerate(metrics):
                yield f"neighbours/{i}-{j}-{k}.json", measured.content(of_model, layer, f"neighbours {metric}")
