"""The nearest pictures of an experiment to another picture, by one of its models, layers and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.core.errors import InputError, StateError
from crossmodal.encoders import registry
from crossmodal.evaluation.classes import DEPTH
from crossmodal.experiment.cache import Cache
from crossmodal.experiment.features import Model, ModelFeatures
from crossmodal.experiment.files import check_name, experiments_folder, read_experiment
from crossmodal.experiment.layers import Tower
from crossmodal.experiment.metrics import Features, Metric, Space
from crossmodal.experiment.run import cache_folder
from crossmodal.images.prepare import prepare


@dataclass(frozen=True)
class Nearest:
    """The indices of the nearest pictures of an experiment, nearest first, and their distances."""

    neighbours: list[int]
    distances: list[float]


class Trials:
    """Tries pictures with the experiments of a workspace.

    The last tower and the features of the last layer stay in memory; at most one of each, whatever is tried. The
    weights of a model are looked for once. Not for several threads at once.
    """

    def __init__(self, workspace: Path) -> None:
        """Stores the folder; nothing is loaded before the first picture."""
        self._workspace = workspace
        self._models: dict[tuple[str, ...], Model] = {}
        self._tower: tuple[Model, Tower] | None = None
        self._space: tuple[tuple[Any, ...], Space] | None = None

    def has(self, experiment: str) -> bool:
        """Whether there is an experiment with this name."""
        try:
            read_experiment(self._folder(experiment))
        except (InputError, StateError):
            return False
        return True

    def nearest(self, experiment: str, model: int, layer: int, metric: int, content: bytes) -> Nearest:
        """The nearest 15 pictures, equally near ones by index.

        Args:
            experiment: The name of the experiment.
            model: Index in its `models`.
            layer: Index in the `layers` of the model.
            metric: Index in its `metrics`.
            content: The encoded picture.

        Raises:
            PictureError: The picture can't be decoded.
            InputError: An index is out of range.
            StateError: There is no such experiment, its weights are gone or have changed, or its features are no longer
                in the cache.
        """
        facts = read_experiment(self._folder(experiment))
        of_model = _item(facts["models"], model, "model")
        name = _item(of_model["layers"], layer, "layer")["name"]
        distance = Metric.parse(_item(facts["metrics"], metric, "metric"))
        resolved = self._model_of(of_model)
        pixels = prepare(content, resolved.spec.encoder.preprocessing, with_thumbnail=False).pixels
        space = self._space_of(experiment, facts, resolved, name, distance)
        query = self._tower_of(resolved).features(pixels[None], [name])[name]
        distances = space.distances(query)[0].astype(np.float32)
        order = np.argsort(distances, kind="stable")[:DEPTH]
        return Nearest(order.tolist(), [float(f"{distances[place]:.6g}") for place in order])

    def _folder(self, experiment: str) -> Path:
        return experiments_folder(self._workspace) / check_name(experiment)

    def _model_of(self, of_model: dict[str, Any]) -> Model:
        """The model of an experiment, if its weights are still on this machine when it is used first."""
        key = tuple(of_model[part] for part in ("name", "family", "weights", "weights_hash"))
        if key not in self._models:
            self._models[key] = _resolved(*key)
        return self._models[key]

    def _space_of(self, experiment: str, facts: dict[str, Any], model: Model, layer: str, metric: Metric) -> Space:
        key = (experiment, facts["created"], model.space(layer), metric)
        if self._space is None or self._space[0] != key:
            self._space = None  # freed before the next is read
            self._space = (key, Space(metric, self._features(facts, model, layer)))
        return self._space[1]

    def _features(self, facts: dict[str, Any], model: Model, layer: str) -> Features:
        ids = [picture["id"] for picture in facts["pictures"]]
        try:
            with Cache(cache_folder(self._workspace), is_read_only=True) as cache:
                return ModelFeatures(model, cache).matrix(ids, layer)
        except KeyError:
            raise StateError(
                f"the features of {model.name}, layer {layer}, are no longer in the cache of the workspace: run "
                "`crossmodal experiment` again"
            ) from None

    def _tower_of(self, model: Model) -> Tower:
        if self._tower is None or self._tower[0] != model:
            self._tower = None
            self._tower = (model, Tower(model.spec))
        return self._tower[1]


def _item(items: list[Any], index: int, noun: str) -> Any:
    if not 0 <= index < len(items):
        raise InputError(f"{noun} {index}: the experiment has {len(items)}, numbered from 0")
    return items[index]


def _resolved(name: str, family: str, weights: str, weights_hash: str) -> Model:
    """A model with these weights, if they are still on this machine."""
    advice = "put them back, or run `crossmodal experiment` again"
    try:
        spec = registry.resolve(family, weights)
    except (InputError, StateError) as error:
        raise StateError(f"the weights of {name} are gone ({error}): {advice}") from error
    if spec.weights_hash != weights_hash:
        raise StateError(f"the weights of {name} have changed since the experiment: {advice}")
    return Model(name, spec)
