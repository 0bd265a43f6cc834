"""Rough figures of an encoder's cost: its speed on this machine now, and the size of its files."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from crossmodal.core.engine import Engine
from crossmodal.core.families import FAMILIES
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import ModelSpec
from crossmodal.encoders import registry as models
from crossmodal.evaluation.evaluation_set import EvaluationSet
from crossmodal.images.prepare import prepare

N_PICTURES, N_TEXTS = 32, 20
LIMIT_S = 2.0
TEXT = "two dogs are playing on the beach"


class Cost(NamedTuple):
    """The cost of an encoder; None if it was not measured, does not apply or is unknown.

    Attributes:
        pictures_per_s: Prepared pictures encoded per second in batches of 32, without reading and decoding the files.
        text_ms: Time of encoding one short text, in ms.
        size_mb: Size of the files with the weights, in MB of 10^6 bytes.
    """

    pictures_per_s: float | None = None
    text_ms: float | None = None
    size_mb: float | None = None


def measure(encoder: Encoder, subject: EvaluationSet, engine: Engine) -> Cost:
    """The cost of an encoder that runs in `engine`, timed for about two seconds after a first, uncounted, call.

    Raises:
        InputError: A picture can't be read.
    """
    contents = [subject.content(i) for i in range(min(N_PICTURES, len(subject.records)))]
    pixels = np.stack([prepare(it, encoder.spec.preprocessing, with_thumbnail=False).pixels for it in contents])
    encoder.encode_images(pixels)
    times: list[float] = []
    while sum(times) < LIMIT_S and len(times) < N_TEXTS:
        began = time.perf_counter()
        encoder.encode_images(pixels)
        times.append(time.perf_counter() - began)
    text_ms = _text_ms(encoder) if "text" in encoder.spec.modalities else None
    return Cost(round(len(pixels) / median(times), 1), text_ms, _size_mb(encoder.spec, engine))


def _text_ms(encoder: Encoder) -> float:
    encoder.encode_texts([TEXT])
    times = []
    for _ in range(N_TEXTS):
        began = time.perf_counter()
        encoder.encode_texts([TEXT])
        times.append(time.perf_counter() - began)
    return round(1000 * median(times), 2)


def _size_mb(spec: ModelSpec, engine: Engine) -> float | None:
    files = _files(spec, engine)
    return round(sum(file.stat().st_size for file in files) / 1e6, 1) if files else None


def _files(spec: ModelSpec, engine: Engine) -> list[Path]:
    """The files that hold the weights in this engine; empty if they are in none, as random weights are."""
    family = FAMILIES[spec.family]
    if engine.backend == "openvino":
        from crossmodal.encoders import converted

        found = converted.find(spec, engine.precision)
        if found:
            return [found[0] / name for name in found[1].files]
    if spec.weights in family.bundled:
        return sorted(models.bundled_folder(spec.family, spec.weights).glob("*.safetensors"))
    for place in (Path(spec.weights), Path(spec.weights.partition("/")[2])):  # a file, a folder, ARCHITECTURE/FILE
        if place.is_file():
            return [place]
        if place.is_absolute() and place.is_dir():
            return [path for path in place.rglob("*") if path.is_file()]
    return [] if spec.weights.endswith("/random") else models.fetch(spec.family, spec.weights)
