"""Lists of pictures as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from crossmodal.saving.chosen import Chosen

TAGS = ("taken", "camera", "lens", "rating", "keywords", "labels", "title", "latitude", "longitude", "place", "region",
        "country")  # fmt: skip
"""The tags that have a column."""
COLUMNS = ("id", "filename", "folder", "width", "height", "mime_type", *TAGS, "captions")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_to_json = json.JSONEncoder(ensure_ascii=False).encode

Link = Callable[[Chosen], str]


def csv_of(pictures: Iterable[Chosen], place: str, link: Link) -> Iterator[bytes]:
    """A table of pictures in UTF-8; several values of a cell are separated by `; `.

    A text that a spreadsheet would take for a formula has an apostrophe before it.

    Args:
        pictures: The pictures.
        place: The name of the last column.
        link: Its value for a picture.

    Source: RFC 4180; OWASP, CSV Injection.
    """
    yield _line([*COLUMNS, place])
    for picture in pictures:
        document = picture.document
        values: list[Any] = [document.id, picture.filename, picture.text("folder")]
        values += [document.width, document.height, document.mime_type]
        values += [document.tags.get(name) for name in TAGS]
        yield _line([*map(_cell, values), _cell(list(picture.captions)), link(picture)])


def _line(cells: list[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue().encode("utf8", "replace")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    if isinstance(value, dict):
        value = _to_json(value)
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def json_of(pictures: Iterable[Chosen], place: str, link: Link) -> Iterator[bytes]:
    """A JSON list of pictures with all their tags and captions; the arguments are those of `csv_of`."""
    separator = "["
    for picture in pictures:
        document = picture.document
        values = {
            "id": document.id, "filename": picture.filename, "width": document.width, "height": document.height,
            "mime_type": document.mime_type, "tags": document.tags, "captions": list(picture.captions),
            place: link(picture),
        }  # fmt: skip
        yield f"{separator}\n{_to_json(values)}".encode("utf8", "replace")
        separator = ","
    yield b"\n]\n" if separator == "," else b"[]\n"
