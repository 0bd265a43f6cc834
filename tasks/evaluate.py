"""evaluate: recall by the field's protocol, and on scenes the skills that recall hides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.protocols import Encoder
from crossmodal.core.settings import Settings
from crossmodal.core.types import ImageRecord, Pixels, Vectors
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.evaluation.recall import image_to_text_ranks, rsum, summarise, text_to_image_ranks
from crossmodal.evaluation.skills import measure_skills
from crossmodal.images.decode import decode
from crossmodal.images.geometry import fit
from crossmodal.images.sources import from_file
from crossmodal.scenes.world import Scene, make_scene
from tasks.progress import Meter

BATCH = 32


@dataclass(frozen=True)
class Encoded:
    """A data set as vectors: image i is row i, text j belongs to image `image_of[j]`."""

    images: Vectors
    texts: Vectors
    image_of: NDArray[np.int64]


def run(settings: Settings) -> dict[str, Any]:
    """Evaluates the model on the data set, with exact scores in memory.

    Returns:
        `{"model", "images", "captions", "t2i", "i2t", "rsum"}`, and `"skills"` on scenes.

    Raises:
        InputError: No captions to evaluate with, or a picture that can't be read.
    """
    name = data_sets.canonical(settings.data_set)
    records = [r for r in data_sets.read(name, settings.split) if isinstance(r, ImageRecord) and r.captions]
    records = records[: settings.num_docs]
    if not records:
        raise InputError(f"{settings.data_set} has no pictures with captions to evaluate on")
    spec = models.resolve(settings.model, settings.weights or models.default_weights(settings.model, name))
    encoder = models.load(spec, threads=settings.threads or None)
    encoded = encode(encoder, records)
    t2i = summarise(text_to_image_ranks(encoded.images, encoded.texts, encoded.image_of))
    i2t = summarise(image_to_text_ranks(encoded.images, encoded.texts, encoded.image_of))
    result: dict[str, Any] = {
        "model": str(spec),
        "images": len(encoded.images),
        "captions": len(encoded.texts),
        "t2i": t2i.to_dict(),
        "i2t": i2t.to_dict(),
        "rsum": rsum(t2i, i2t),
    }
    scenes = _scenes_of(records)
    if scenes:
        skills = measure_skills(scenes, encoded.images, lambda texts: _texts(encoder, list(texts)))
        result["skills"] = {name: round(value, 4) for name, value in skills.items()}
    return result


def encode(encoder: Encoder, records: list[ImageRecord]) -> Encoded:
    """Encodes all pictures and captions of the records."""
    image_of = np.repeat(np.arange(len(records)), [len(r.captions) for r in records])
    with Meter("pictures", len(records)) as meter:
        images = np.concatenate([_batch(encoder, part, meter) for part in _parts(records)])
    return Encoded(images, _texts(encoder, [c for r in records for c in r.captions]), image_of)


def _batch(encoder: Encoder, records: list[ImageRecord], meter: Meter) -> Vectors:
    vectors = encoder.encode_images(np.stack([_pixels(encoder, record.path) for record in records]))
    meter.advance(len(records))
    return vectors


def _pixels(encoder: Encoder, path: Path) -> Pixels:
    try:
        return fit(decode(from_file(path))[0], encoder.spec.preprocessing)
    except PictureError as error:
        raise InputError(f"{path}: {error}") from error


def _texts(encoder: Encoder, texts: list[str]) -> Vectors:
    return np.concatenate([encoder.encode_texts(texts[i : i + 256]) for i in range(0, len(texts), 256)])


def _parts(records: list[ImageRecord]) -> Iterator[list[ImageRecord]]:
    return (records[i : i + BATCH] for i in range(0, len(records), BATCH))


def _scenes_of(records: list[ImageRecord]) -> list[Scene]:
    """The scenes the pictures show, where they are scenes; else nothing."""
    recipe_file = records[0].path.parent.parent / "recipe.json"
    if not recipe_file.exists():
        return []
    recipe = json.loads(recipe_file.read_text("utf8"))
    return [make_scene(recipe["split"], int(r.path.stem.rsplit("-", 1)[1]), recipe["seed"]) for r in records]
