"""Copies of a picture with known edits, for benchmarks/duplicates.py."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw, ImageEnhance, ImageFont

Edit = Callable[[Image.Image, Random], Image.Image]
QUALITY = 92


def _resized(picture: Image.Image, dice: Random) -> Image.Image:
    scale = dice.uniform(0.4, 0.8)
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))


def _recompressed(picture: Image.Image, dice: Random) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=dice.randint(15, 50))
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def _cropped(picture: Image.Image, dice: Random) -> Image.Image:
    """5 to 20 % of the width and of the height are cut off, at any of the sides."""
    width, height = picture.size
    kept = [round(side * dice.uniform(0.8, 0.95)) for side in (width, height)]
    left, top = dice.randint(0, width - kept[0]), dice.randint(0, height - kept[1])
    return picture.crop((left, top, left + kept[0], top + kept[1]))


def _turned(picture: Image.Image, dice: Random) -> Image.Image:
    turns = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    return picture.transpose(dice.choice(turns))


def _mirrored(picture: Image.Image, dice: Random) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _tilted(picture: Image.Image, dice: Random) -> Image.Image:
    """Rotated by 1 to 5 degrees, and cropped so that no corner is empty."""
    width, height = picture.size
    angle = dice.choice((-1, 1)) * dice.uniform(1, 5)
    tilted = picture.rotate(angle, Image.Resampling.BICUBIC)
    cut = 0.0875 * abs(angle) / 5 * max(width, height) / 2  # tan(5 degrees)
    return tilted.crop((round(cut), round(cut), round(width - cut), round(height - cut)))


def _watermarked(picture: Image.Image, dice: Random) -> Image.Image:
    """A half transparent text across the middle, and a badge in a corner."""
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    width, height = picture.size
    font = ImageFont.load_default(size=max(8, width // 9))
    draw.text((width * 0.1, height * dice.uniform(0.3, 0.6)), "(c) Example", fill=(255, 255, 255, 130), font=font)
    draw.rectangle((width * 0.75, height * 0.85, width, height), fill=(20, 20, 20, 200))
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def _brightened(picture: Image.Image, dice: Random) -> Image.Image:
    brighter = ImageEnhance.Brightness(picture).enhance(dice.choice((dice.uniform(0.6, 0.8), dice.uniform(1.2, 1.4))))
    return ImageEnhance.Contrast(brighter).enhance(dice.uniform(0.8, 1.2))


def _several(picture: Image.Image, dice: Random) -> Image.Image:
    """Cropped by up to 10 %, brightened a little, resized and recompressed, as when a picture is posted."""
    width, height = picture.size
    cut = dice.uniform(0.02, 0.1)
    left, top = round(width * cut * dice.random()), round(height * cut * dice.random())
    picture = picture.crop((left, top, left + round(width * (1 - cut)), top + round(height * (1 - cut))))
    return _recompressed(_resized(ImageEnhance.Brightness(picture).enhance(dice.uniform(0.85, 1.15)), dice), dice)


EDITS: dict[str, Edit] = {
    "resized": _resized, "recompressed": _recompressed, "cropped": _cropped, "turned": _turned, "mirrored": _mirrored,
    "tilted": _tilted, "watermarked": _watermarked, "brightened": _brightened, "several": _several,
}  # fmt: skip
"""The edits of level 2 by kind; a `Random` chooses how much."""


def edited(picture: Image.Image, kind: str, dice: Random) -> bytes:
    """A copy as JPEG."""
    buffer = io.BytesIO()
    EDITS[kind](picture.convert("RGB"), dice).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
