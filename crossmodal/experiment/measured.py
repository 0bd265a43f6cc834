"""The rankings and the maps of an experiment's layers, kept in the cache, so that an interrupted run continues."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from crossmodal.collection.picture_map import laid_out
from crossmodal.core.errors import InputError
from crossmodal.encoders.weights import unit_rows
from crossmodal.evaluation import recall
from crossmodal.experiment.cache import Cache, space_of
from crossmodal.experiment.features import ModelFeatures
from crossmodal.experiment.layers import OUTPUT
from crossmodal.experiment.measures import neighbours, scores_of, summary
from crossmodal.experiment.metrics import Features, Metric
from crossmodal.experiment.pictures import PictureSet

_UNIT_METRICS = ("cosine", "euclidean", "sqeuclidean")
"""The metrics that rank vectors of length 1 as their inner product does, by which recall is computed."""


class Measured:
    """What was measured on a set of pictures."""

    def __init__(self, pictures: PictureSet, cache: Cache) -> None:
        """Stores the arguments."""
        self._pictures, self._cache = pictures, cache
        self._space = space_of("measured", pictures.digest)

    def measure(self, features: ModelFeatures, layer: str, metrics: Sequence[Metric]) -> None:
        """Computes the rankings by a layer, and its map, unless the cache has them.

        Raises:
            InputError: A feature is not finite.
        """
        missing = [metric for metric in metrics if self._get(features, layer, f"summary {metric}") is None]
        has_map = self._get(features, layer, "map") is not None
        if not missing and has_map:
            return
        matrix = features.matrix(self._pictures.ids, layer)
        for metric in missing:
            self._rank(features, layer, matrix, metric)
        if not has_map:
            points, _ = laid_out(unit_rows(matrix))
            x, y = (((points[:, axis] + 1) / 2).round(5).tolist() for axis in (0, 1))
            self._put(features, layer, {"map": {"x": x, "y": y}})

    def summary(self, features: ModelFeatures, layer: str, metric: Metric) -> dict[str, Any]:
        """The figures of `measures.summary`, and with captions the `recall` of the output of a two-tower model."""
        figures: dict[str, Any] = json.loads(self.content(features, layer, f"summary {metric}"))
        if layer == OUTPUT and self._pictures.captions and str(metric) in _UNIT_METRICS:
            found = self._recall(features)
            return figures if found is None else {**figures, "recall": found}
        return figures

    def content(self, features: ModelFeatures, layer: str, what: str) -> bytes:
        """The JSON of `map`, or of `neighbours METRIC`."""
        content = self._get(features, layer, what)
        assert content is not None, "measure() was called"
        return content

    def _rank(self, features: ModelFeatures, layer: str, matrix: Features, metric: Metric) -> None:
        class_of = self._pictures.class_of
        try:
            found = neighbours(matrix, metric, class_of)
        except InputError as error:
            raise InputError(f"{features.model.name}, layer {layer}: {error}") from error
        ranking = {
            "neighbours": found.nearest.tolist(),
            "distances": [[float(f"{distance:.6g}") for distance in row] for row in found.distances],
            "scores": scores_of(found),
        }
        figures = summary(found, class_of, len(self._pictures.classes))
        self._put(features, layer, {f"neighbours {metric}": ranking, f"summary {metric}": figures})

    def _recall(self, features: ModelFeatures) -> dict[str, Any] | None:
        spec, pictures = features.model.spec, self._pictures
        if spec.has_lexical or "text" not in spec.modalities:
            return None
        known = self._get(features, OUTPUT, "recall")
        if known is not None:
            of_both: dict[str, Any] = json.loads(known)
            return of_both
        images, texts = features.matrix(pictures.ids, OUTPUT), features.texts(pictures.captions)
        t2i, i2t = recall.both_ways(images, texts, pictures.image_of)
        of_both = {
            name: {str(k): round(value, 5) for k, value in direction.recall.items()}
            for name, direction in (("t2i", t2i), ("i2t", i2t))
        }
        self._put(features, OUTPUT, {"recall": of_both})
        return of_both

    def _get(self, features: ModelFeatures, layer: str, what: str) -> bytes | None:
        item = self._item(features, layer, what)
        return self._cache.get(self._space, [item]).get(item)

    def _put(self, features: ModelFeatures, layer: str, values: dict[str, Any]) -> None:
        contents = {
            self._item(features, layer, what): json.dumps(value, separators=(",", ":")).encode()
            for what, value in values.items()
        }
        self._cache.put({self._space: contents})

    def _item(self, features: ModelFeatures, layer: str, what: str) -> str:
        return space_of(features.model.key, layer, what)
