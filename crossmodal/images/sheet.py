"""A contact sheet: the pictures a query found, with their scores, as one picture to look at."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

CELL_PX, MARGIN_PX, COLUMNS = 220, 16, 5
INK, FAINT, PAPER = (25, 25, 30), (95, 95, 105), (250, 250, 248)


def contact_sheet(
    title: str, pictures: Sequence[tuple[Image.Image, str, str]], query: Image.Image | None = None
) -> Image.Image:
    """Lays out pictures in rows of five, each over its score and its name.

    Args:
        title: Written at the top.
        pictures: (picture, score, name), best first.
        query: The picture that was searched with, shown beside the title.
    """
    large, small = ImageFont.load_default(22), ImageFont.load_default(14)
    columns = max(1, min(COLUMNS, len(pictures)))
    rows = max(1, -(-len(pictures) // COLUMNS))
    head = 64 if query is None else CELL_PX + 2 * MARGIN_PX
    cell_height = CELL_PX + 58
    width = max(columns * (CELL_PX + MARGIN_PX) + MARGIN_PX, 520)
    sheet = Image.new("RGB", (width, head + rows * cell_height + MARGIN_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    left = MARGIN_PX
    if query is not None:
        _paste(sheet, query, left, MARGIN_PX)
        left += CELL_PX + MARGIN_PX
    lines = textwrap.wrap(title, max(20, (width - left) // 12))[:3]
    draw.multiline_text((left, 20), "\n".join(lines), INK, large)
    for place, (picture, score, name) in enumerate(pictures):
        x = MARGIN_PX + place % COLUMNS * (CELL_PX + MARGIN_PX)
        y = head + place // COLUMNS * cell_height
        _paste(sheet, picture, x, y)
        draw.text((x, y + CELL_PX + 6), score, INK, small)
        draw.multiline_text((x, y + CELL_PX + 24), "\n".join(textwrap.wrap(name, 30)[:2]), FAINT, small)
    return sheet


def _paste(sheet: Image.Image, picture: Image.Image, x: int, y: int) -> None:
    small = picture.convert("RGB")
    small.thumbnail((CELL_PX, CELL_PX))
    sheet.paste(small, (x + (CELL_PX - small.width) // 2, y + (CELL_PX - small.height) // 2))
