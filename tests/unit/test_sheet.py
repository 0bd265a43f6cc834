"""The contact sheet."""

import pytest
from PIL import Image

from crossmodal.images.sheet import CELL_PX, COLUMNS, MARGIN_PX, PAPER, contact_sheet


def cells(count: int) -> list[tuple[Image.Image, str, str]]:
    return [(Image.new("RGB", (300, 300), "red"), f"0.{i}", f"picture-{i}.jpg") for i in range(count)]


@pytest.mark.parametrize("count", [0, 1, 5, 7])
def test_it_has_a_row_for_every_five_pictures(count: int) -> None:
    sheet = contact_sheet("a red heart", cells(count))
    one_row = contact_sheet("a red heart", cells(min(count, COLUMNS)))
    rows = max(1, -(-count // COLUMNS))
    assert sheet.mode == "RGB"
    assert sheet.height == one_row.height + (rows - 1) * (CELL_PX + 58)
    assert sheet.width >= min(count, COLUMNS) * (CELL_PX + MARGIN_PX)


def test_pictures_are_where_they_belong() -> None:
    sheet = contact_sheet("q", cells(7))
    red = (255, 0, 0)
    counts = {colour: n for n, colour in sheet.getcolors(sheet.width * sheet.height) or []}
    assert counts[red] == 7 * CELL_PX * CELL_PX
    assert sheet.getpixel((MARGIN_PX + 5, 64 + 5)) == red


def test_without_pictures_there_is_a_title_only() -> None:
    blank = contact_sheet("", [])
    assert {colour for _, colour in blank.getcolors() or []} == {PAPER}
    assert len(contact_sheet("nothing found", []).getcolors() or []) > 1


def test_the_query_is_shown() -> None:
    sheet = contact_sheet("like this", cells(1), query=Image.new("L", (50, 500), 0))
    assert sheet.height > contact_sheet("like this", cells(1)).height
    assert sheet.getpixel((MARGIN_PX + CELL_PX // 2, MARGIN_PX + CELL_PX // 2)) == (0, 0, 0)


def test_odd_pictures_and_long_names() -> None:
    pictures = [
        (Image.new("RGBA", (2000, 3)), "1.0", "x" * 300),
        (Image.new("1", (1, 1)), "", ""),
        (Image.new("P", (3, 2000)), "0.1", "naïve café 写真.jpg"),
    ]
    sheet = contact_sheet("word " * 200, pictures)
    assert sheet.width == 3 * (CELL_PX + MARGIN_PX) + MARGIN_PX
    assert pictures[0][0].size == (2000, 3)
