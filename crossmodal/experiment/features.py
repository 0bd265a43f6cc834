"""Features of the pictures of a set by every layer of a model, kept in the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from crossmodal.core.ahead import DECODERS, map_ahead
from crossmodal.core.batched import batched
from crossmodal.core.engine import TORCH
from crossmodal.core.errors import InputError
from crossmodal.core.types import ModelSpec, Pixels, Vectors, image_id
from crossmodal.encoders import registry
from crossmodal.evaluation.encoding import encode_texts
from crossmodal.experiment.cache import Cache, space_of
from crossmodal.experiment.layers import Tower, chosen
from crossmodal.experiment.metrics import Features
from crossmodal.experiment.pictures import Picture
from crossmodal.images.prepare import prepare
from crossmodal.images.sources import of_record

BATCH = 32

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Model:
    """A model of an experiment. `name` is what the user typed, FAMILY:WEIGHTS or the name of a backbone."""

    name: str
    spec: ModelSpec

    @property
    def key(self) -> list[object]:
        """What the features depend on, JSON-ready."""
        return [self.spec.to_dict()]

    def space(self, layer: str) -> str:
        """The space of the features of a layer in the cache."""
        return space_of("features", self.key, layer)


class ModelFeatures:
    """The features of one model; its tower is loaded only if the cache lacks something."""

    def __init__(self, model: Model, cache: Cache, threads: int | None = None) -> None:
        """Stores the arguments; `threads` None keeps torch's default."""
        self.model, self._cache, self._threads = model, cache, threads
        self._facts = space_of("model", model.key)
        self._tower: Tower | None = None

    def layers(self, wanted: int | Sequence[str]) -> list[str]:
        """As `layers.chosen`.

        Raises:
            InputError: A named layer does not exist.
        """
        known = self._cache.get_json(self._facts, "layers")
        if known is None:
            tower = self._loaded()
            known = {"stages": tower.stages, "layers": tower.layers}
            self._cache.put_json(self._facts, "layers", known)
        return chosen(self.model.name, wanted, known["stages"], known["layers"])

    def compute(self, pictures: Sequence[Picture], layers: Sequence[str], advance: Advance) -> None:
        """Computes what the cache lacks, in one pass for all layers.

        Raises:
            InputError: A picture has changed since it was read.
        """
        missing = self._missing(pictures, layers)
        advance(len(pictures) - len(missing))
        if not missing:
            return
        tower, started = self._loaded(), time.monotonic()
        for part, pixels in self._batches(missing):
            by_layer = tower.features(pixels, layers)
            ids = [picture.id for picture in part]
            self._cache.put(
                {
                    self.model.space(layer): dict(zip(ids, (row.tobytes() for row in rows), strict=True))
                    for layer, rows in by_layer.items()
                }
            )
            advance(len(part))
        rate = (time.monotonic() - started) / len(missing)
        self._cache.put_json(self._facts, "seconds", rate)
        self._tower = None

    def seconds(self, n: int) -> float | None:
        """The time to encode n pictures by all layers, at the rate of the last pass; None before the first."""
        rate = self._cache.get_json(self._facts, "seconds")
        return None if rate is None else round(rate * n, 2)

    def dim(self, picture: Picture, layer: str) -> int:
        """The dimension of the features of a layer, from those of a picture."""
        return int(self.matrix([picture.id], layer).shape[1])

    def matrix(self, ids: Sequence[str], layer: str) -> Features:
        """The features (n, dim) of pictures by a layer, not normalised.

        Raises:
            KeyError: The cache lacks a picture.
        """
        rows = self._cache.get(self.model.space(layer), dict.fromkeys(ids))
        first = np.frombuffer(rows[ids[0]], np.float32)
        matrix = np.empty((len(ids), len(first)), np.float32)
        for place, name in enumerate(ids):
            matrix[place] = np.frombuffer(rows[name], np.float32)
        return matrix

    def texts(self, captions: Sequence[str]) -> Vectors:
        """Unit vectors (m, dim) of captions, from the cache or by the text tower."""
        space = space_of("texts", self.model.key)
        ids = [image_id(caption.encode()) for caption in captions]
        rows = self._cache.get(space, dict.fromkeys(ids))
        missing = {name: text for name, text in zip(ids, captions, strict=True) if name not in rows}
        if missing:
            encoder = registry.load(self.model.spec.encoder, ("text",), self._threads, TORCH)
            vectors = encode_texts(encoder, list(missing.values()))
            new = {name: row.tobytes() for name, row in zip(missing, vectors, strict=True)}
            self._cache.put({space: new})
            rows |= new
        return np.stack([np.frombuffer(rows[name], np.float32) for name in ids])

    def _loaded(self) -> Tower:
        if self._tower is None:
            self._tower = Tower(self.model.spec, self._threads)
        return self._tower

    def _missing(self, pictures: Sequence[Picture], layers: Sequence[str]) -> list[Picture]:
        """The pictures, each once, that the cache lacks for one of the layers."""
        by_id = {picture.id: picture for picture in pictures}
        complete = set(by_id)
        for layer in layers:
            complete &= self._cache.present(self.model.space(layer), by_id)
        return [picture for name, picture in by_id.items() if name not in complete]

    def _batches(self, pictures: Sequence[Picture]) -> Iterator[tuple[list[Picture], Pixels]]:
        preprocessing = self.model.spec.encoder.preprocessing

        def pixels(picture: Picture) -> Pixels:
            content = of_record(picture.record)
            if image_id(content) != picture.id:
                raise InputError(f"{picture.path} has changed since the experiment began: run it again")
            return prepare(content, preprocessing, with_thumbnail=False).pixels

        ahead = map_ahead(pixels, pictures, threads=DECODERS, at_most=2 * BATCH, size=lambda _: 1)
        for part in batched(pictures, BATCH):
            yield part, np.stack([next(ahead) for _ in part])
