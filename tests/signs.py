"""Pictures with text in them, and what was read there."""

from __future__ import annotations

import shutil
from pathlib import Path

from conftest import TOY
from PIL import Image, ImageDraw, ImageFont

from crossmodal.core.reading import Reading, ReadLine, ReadWord

BOX = (0.1, 0.1, 0.9, 0.1, 0.9, 0.3, 0.1, 0.3)
BAKERY, CAFE = "bakery.png", "cafe.png"


def write_signs(folder: Path, n_others: int) -> Path:
    """Writes the two signs and a number of toy pictures to a folder, and returns it."""
    folder.mkdir(parents=True)
    for name, text, colour in ((BAKERY, "BAKERY\nopen daily", "beige"), (CAFE, "COFFEE 1984", "lightblue")):
        picture = Image.new("RGB", (480, 240), colour)
        ImageDraw.Draw(picture).text((60, 50), text, "black", ImageFont.load_default(48))
        picture.save(folder / name)
    for path in sorted((TOY / "images").glob("*.jpg"))[:n_others]:
        shutil.copy(path, folder)
    return folder


def reading(*lines: str) -> Reading:
    """A reading with these lines, all of whose words are in the same place."""
    words = [tuple(ReadWord(word, 0.9, BOX) for word in line.split()) for line in lines]
    return Reading("test", tuple(ReadLine(line, 0.95, BOX, of) for line, of in zip(lines, words, strict=True)))
