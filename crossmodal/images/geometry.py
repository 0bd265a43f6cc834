"""Resizing and cropping to a model's input size, and thumbnails."""

from __future__ import annotations

import io

from PIL import Image

from crossmodal.core.types import Pixels, Preprocessing
from crossmodal.images.decode import to_pixels
from crossmodal.images.reduced import Reduced

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

THUMBNAIL_PX = 256
MAX_RESIZED_PIXELS = 16_000_000
"""If the resized picture would be larger, only the crop is resized."""


MARGINS = {8: 1.5, 4: 2, 2: 2}
"""By factor, how many times as large as the resized pictures a reduced one is at least; the largest factor first.

docs/decoding.md has the measurements.
"""


def reduction(width: int, height: int, preprocessing: Preprocessing) -> int:
    """The factor by which a picture can be reduced before `fit` and `thumbnail`: 1, 2, 4 or 8.

    It depends on nothing else, so that a query and an indexed picture with the same content have the same pixels.
    """
    if preprocessing.resize == "longest":
        scale = max(width, height) / preprocessing.size_px
    else:
        scale = min(width, height) / max(preprocessing.size_px, preprocessing.resize_px)
    scale = min(scale, max(width, height) / THUMBNAIL_PX)
    return next((factor for factor, margin in MARGINS.items() if scale >= margin * factor), 1)


def fit(picture: Image.Image | Reduced, preprocessing: Preprocessing) -> Pixels:
    """The picture at the model's input size: (size_px, size_px, 3) uint8.

    Of a full picture, bit-identical to open_clip's evaluation transform before it scales to floats: `Resize` with
    antialiasing, then `CenterCrop` or padding. With `resize_px`, identical to torchvision's `Resize(resize_px)` and
    `CenterCrop(size_px)`.
    """
    picture, (width, height), box = _reduced(picture)
    size, resample = preprocessing.size_px, _FILTERS[preprocessing.interpolation]
    short = max(size, preprocessing.resize_px)
    if preprocessing.resize == "squash":
        margin = round((short - size) / 2.0)
        squashed = picture.resize((short, short), resample, box)
        return to_pixels(squashed.crop((margin, margin, margin + size, margin + size)))
    if preprocessing.resize == "longest":
        scale = size / max(width, height)
        new = (max(1, round(width * scale)), max(1, round(height * scale)))
        canvas = Image.new("RGB", (size, size), (preprocessing.fill,) * 3)
        canvas.paste(picture.resize(new, resample, box), ((size - new[0]) // 2, (size - new[1]) // 2))
        return to_pixels(canvas)
    # As torchvision's Resize(int): the short side becomes `short`, the long side is truncated to an integer.
    if width <= height:
        new = (short, max(short, int(short * height / width)))
    else:
        new = (max(short, int(short * width / height)), short)
    left, top = round((new[0] - size) / 2.0), round((new[1] - size) / 2.0)
    if new[0] * new[1] > MAX_RESIZED_PIXELS:
        # An extreme aspect ratio, of a picture that is never reduced: resize only the crop.
        scale_x, scale_y = width / new[0], height / new[1]
        window = (left * scale_x, top * scale_y, (left + size) * scale_x, (top + size) * scale_y)
        return to_pixels(picture.resize((size, size), resample, box=window))
    if new != picture.size:
        picture = picture.resize(new, resample, box)
    return to_pixels(picture.crop((left, top, left + size, top + size)))


def thumbnail(picture: Image.Image | Reduced, at_most_px: int = THUMBNAIL_PX) -> bytes:
    """A JPEG of the whole picture, at most `at_most_px` a side, never enlarged."""
    picture, (width, height), box = _reduced(picture)
    scale = min(1.0, at_most_px / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Pillow's thumbnail() needs a full copy
    small = picture.resize(size, Image.Resampling.BILINEAR, box, reducing_gap=2.0)
    small.info.clear()  # drop the original's comments and profiles
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _reduced(picture: Image.Image | Reduced) -> Reduced:
    return picture if isinstance(picture, Reduced) else Reduced.of(picture, picture.size, 1)
