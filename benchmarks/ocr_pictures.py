"""Pictures with known words in them: plain ones, and photographs into which a sign is set."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from crossmodal.images.decode import EXTENSIONS

DEBIAN = Path("/usr/share/fonts/truetype")
FACES = ("Sans", "Serif", "Mono")
"""Kinds of fonts in the names of DejaVu's and Liberation's files."""
SIZE = (800, 600)


class Sign(NamedTuple):
    """A picture and the words in it."""

    picture: Image.Image
    words: list[str]


def fonts() -> list[str]:
    """The font files of matplotlib and Debian, and an empty name for Pillow's own."""
    folders = (Path(get_data_path()) / "fonts" / "ttf", DEBIAN / "dejavu", DEBIAN / "liberation")
    found = [path for folder in folders for path in sorted(folder.glob("*.ttf"))]
    return ["", *(str(path) for path in found if any(face in path.stem for face in FACES))]


def rendered(rng: random.Random, words: list[str]) -> Sign:
    """Words on one or two lines of a plain picture, in any font, size, case and pair of colours."""
    colours = _colours(rng)
    picture = Image.new("RGB", SIZE, colours[0])
    shown = _cased(rng, words)
    lines = [" ".join(shown)] if rng.random() < 0.5 else [" ".join(shown[:2]), " ".join(shown[2:])]
    font = _font(rng, rng.randint(18, 60))
    drawing = ImageDraw.Draw(picture)
    box = drawing.multiline_textbbox((0, 0), "\n".join(lines), font)
    if box[2] > SIZE[0] - 20:
        font = _font_of(font.path if isinstance(font.path, str) else "", int(font.size * (SIZE[0] - 40) / box[2]))
    place = rng.randint(10, 20), rng.randint(10, SIZE[1] - 160)
    drawing.multiline_text(place, "\n".join(lines), colours[1], font)
    return Sign(picture, words)


def set_into(rng: random.Random, words: list[str], background: Image.Image) -> Sign:
    """A sign in a photograph, seen from the side, blurred and shaded."""
    picture = background.convert("RGB").resize(SIZE)
    plate = _plate(rng, words)
    corners = _seen_from_the_side(rng, plate.size)
    moved = plate.transform(SIZE, Image.Transform.PERSPECTIVE, _inverse(corners, plate.size), Image.Resampling.BICUBIC)
    picture.paste(_shaded(rng, moved.convert("RGB")), mask=moved.getchannel("A"))
    return Sign(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.6))), words)


def backgrounds(rng: random.Random, folder: Path | None, n: int) -> list[Image.Image]:
    """N photographs of a folder, or without one generated pictures of soft shapes and grain."""
    if folder is not None:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)
        return [Image.open(path) for path in rng.sample(paths, n)]
    return [_generated(rng) for _ in range(n)]


def _generated(rng: random.Random) -> Image.Image:
    noise = np.random.default_rng(rng.randrange(2**31))
    coarse = Image.fromarray(noise.integers(30, 226, (6, 8, 3), dtype=np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
    drawing = ImageDraw.Draw(coarse)
    for _ in range(12):
        x, y = rng.randint(0, SIZE[0]), rng.randint(0, SIZE[1])
        shape = (x, y, x + rng.randint(30, 260), y + rng.randint(30, 260))
        colour = tuple(rng.randint(0, 255) for _ in range(3))
        (drawing.ellipse if rng.random() < 0.5 else drawing.rectangle)(shape, colour)
    grained = np.asarray(coarse.filter(ImageFilter.GaussianBlur(3))) + noise.normal(0, 8, (SIZE[1], SIZE[0], 3))
    return Image.fromarray(grained.clip(0, 255).astype(np.uint8))


def _plate(rng: random.Random, words: list[str]) -> Image.Image:
    colours, font = _colours(rng), _font(rng, rng.randint(34, 60))
    text = "\n".join(_cased(rng, words))
    box = ImageDraw.Draw(Image.new("RGB", (1, 1))).multiline_textbbox((0, 0), text, font)
    plate = Image.new("RGBA", (int(box[2]) + 50, int(box[3]) + 40), (*colours[0], 255))
    ImageDraw.Draw(plate).multiline_text((25, 16), text, colours[1], font)
    return plate


def _seen_from_the_side(rng: random.Random, size: tuple[int, int]) -> list[tuple[float, float]]:
    """The corners of the plate in the picture, clockwise from the upper left."""
    width, height = (side * min(1.0, (limit - 40) / side) for side, limit in zip(size, SIZE, strict=True))
    left, top = rng.uniform(10, SIZE[0] - width - 10), rng.uniform(10, SIZE[1] - height - 10)
    far, slant = rng.uniform(0.65, 0.95), rng.uniform(-0.12, 0.12) * width
    corners = [(left, top), (left + width * 0.92, top + slant + height * (1 - far) / 2)]
    corners += [(left + width * 0.92, top + slant + height * (1 + far) / 2), (left, top + height)]
    return corners if rng.random() < 0.5 else [(2 * left + width - x, y) for x, y in (corners[i] for i in (1, 0, 3, 2))]


def _inverse(corners: list[tuple[float, float]], size: tuple[int, int]) -> list[float]:
    """The coefficients of Pillow's perspective transformation that brings a picture of this size to the corners."""
    rows, targets = [], []
    ends = [(0, 0), (size[0], 0), size, (0, size[1])]
    for (x, y), (u, v) in zip(corners, ends, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        targets += [u, v]
    solved: list[float] = np.linalg.solve(np.array(rows, float), np.array(targets, float)).tolist()
    return solved


def _shaded(rng: random.Random, picture: Image.Image) -> Image.Image:
    """The picture with a shadow that falls from one side to the other."""
    shade = np.linspace(rng.uniform(0.35, 0.7), 1.0, SIZE[0])[None, :, None]
    return Image.fromarray((np.asarray(picture) * (shade if rng.random() < 0.5 else shade[:, ::-1])).astype(np.uint8))


def _colours(rng: random.Random) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """A colour for the ground and one for the text, one dark and one light."""
    dark, light = (tuple(rng.randint(*ends) for _ in range(3)) for ends in ((0, 90), (165, 255)))
    return (dark, light) if rng.random() < 0.4 else (light, dark)  # type: ignore[return-value]


def _cased(rng: random.Random, words: list[str]) -> list[str]:
    case = rng.choice([str.upper, str.title, str.lower])
    return [case(word) for word in words]


def _font(rng: random.Random, size: int) -> ImageFont.FreeTypeFont:
    return _font_of(rng.choice(fonts()), size)


def _font_of(path: str, size: int) -> ImageFont.FreeTypeFont:
    found = ImageFont.truetype(path, size) if path else ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found
