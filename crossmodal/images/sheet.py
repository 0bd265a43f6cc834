"""Contact sheets: the pictures that match a query, with their scores, in one picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from crossmodal.images.lettering import draw_lines, wrap

CELL_PX, MARGIN_PX, COLUMNS = 220, 16, 5
TITLE_PX, LABEL_PX = 22, 14
INK, FAINT, PAPER = (25, 25, 30), (95, 95, 105), (250, 250, 248)


def contact_sheet(
    title: str, pictures: Sequence[tuple[Image.Image, str, str]], query: Image.Image | None = None
) -> Image.Image:
    """A contact sheet with pictures in rows of five, each above its score and its name.

    Args:
        title: Text at the top.
        pictures: (picture, score, name), best first.
        query: The query picture, shown beside the title.
    """
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
    lines = wrap(title, TITLE_PX, width - left - MARGIN_PX, at_most=2 if query is None else 3)
    draw_lines(draw, (left, 8), lines, INK, TITLE_PX)
    for place, (picture, score, name) in enumerate(pictures):
        x = MARGIN_PX + place % COLUMNS * (CELL_PX + MARGIN_PX)
        y = head + place // COLUMNS * cell_height
        _paste(sheet, picture, x, y)
        draw_lines(draw, (x, y + CELL_PX + 4), wrap(score, LABEL_PX, CELL_PX, 1), INK, LABEL_PX)
        draw_lines(draw, (x, y + CELL_PX + 22), wrap(name, LABEL_PX, CELL_PX, 2), FAINT, LABEL_PX)
    return sheet


def _paste(sheet: Image.Image, picture: Image.Image, x: int, y: int) -> None:
    small = picture.convert("RGB")
    small.thumbnail((CELL_PX, CELL_PX))
    sheet.paste(small, (x + (CELL_PX - small.width) // 2, y + (CELL_PX - small.height) // 2))
