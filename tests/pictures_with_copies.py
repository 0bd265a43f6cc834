"""Pictures with the spectrum of photographs, copies of them, and a store that has both."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from crossmodal.core.types import Document, Vectors, image_id
from crossmodal.images.geometry import thumbnail
from crossmodal.store.records import NewDocument

DIM = 16


def scene(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    """A picture of blobs of all sizes and colours; those of other seeds differ everywhere."""
    dice = np.random.default_rng(seed)
    channels = []
    for _ in range(3):
        total = np.zeros((height, width), np.float32)
        for side, strength in ((3, 60), (6, 50), (14, 35), (40, 20)):
            noise = Image.fromarray(dice.normal(0, strength, (side, side)).astype(np.float32))
            total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC))
        channels.append(total)
    return Image.fromarray(np.clip(np.stack(channels, -1) + 128, 0, 255).astype(np.uint8))


def small(picture: Image.Image, quality: int = 80) -> bytes:
    """The thumbnail that the store has of a picture."""
    return thumbnail(recompressed(picture, quality) if quality < 80 else picture)


def recompressed(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def cropped(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """The part between these shares of the width and the height."""
    width, height = picture.size
    return picture.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


def marked(picture: Image.Image) -> Image.Image:
    """With a badge in a corner."""
    copy = picture.copy()
    width, height = copy.size
    ImageDraw.Draw(copy).rectangle((width * 0.7, height * 0.85, width, height), fill=(20, 20, 20))
    return copy


def unit(seed: int, near: Vectors | None = None, by: float = 0.0) -> Vectors:
    """A random unit vector (DIM,), or one at a distance of another."""
    vector = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    vector /= np.linalg.norm(vector)
    if near is not None:
        vector = near + by * vector
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def entry(name: str, picture: Image.Image, vector: Vectors, tags: Sequence[tuple[str, str]] = ()) -> NewDocument:
    """A document of a picture; its id follows from its name."""
    width, height = picture.size
    document = Document(
        image_id(name.encode()), "image", f"/pictures/{name}", "image/jpeg", width=width, height=height,
        tags={"filename": name, **dict(tags)},
    )  # fmt: skip
    return NewDocument(document, vector, small(picture))
