"""Who made a picture, under which terms, and where it is from: `ATTRIBUTION.csv` beside the captions."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from crossmodal.core.types import Failure, ImageRecord, Record, Skipped
from crossmodal.datasets.names import PictureNames
from crossmodal.datasets.text import as_text, read_text

ATTRIBUTION = "ATTRIBUTION.csv"
_COLUMNS = {
    "credit": ("author", "photographer", "credit", "page", "source"),
    "licence": ("licence", "license"),
    "source": ("page", "source", "url"),
}
"""The columns that a tag is taken from: the first that is there and not empty."""


def with_credit(records: Iterator[Record], root: Path, pictures: list[str], base: Path) -> Iterator[Record]:
    """The records, pictures with the tags `credit`, `licence` and `source` where the file beside them has these.

    Args:
        records: Of the pictures and captions.
        root: The folder of the pictures.
        pictures: Their paths below it.
        base: The folder in which `ATTRIBUTION.csv` may lie.
    """
    file = base / ATTRIBUTION
    if not file.is_file():
        yield from records
        return
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(file)), restval="", strict=True))
        told = {row["image"]: _tags(row) for row in rows}
    except (OSError, ValueError, csv.Error, KeyError) as error:
        reason = "it has no column image" if isinstance(error, KeyError) else str(error)
        yield Failure(str(file), f"pictures are taken in without credit: {reason}")
        yield from records
        return
    found, refused = PictureNames(pictures, root, base).resolve(told)
    tags = {root / pictures[picture]: told[name] for name, picture in found.items()}
    if refused:
        yield Skipped(f"credits in {ATTRIBUTION} of pictures that are not here", len(refused), next(iter(refused)))
    for record in records:
        own = tags.get(record.path) if isinstance(record, ImageRecord) else None
        yield replace(record, tags={**record.tags, **own}) if own and isinstance(record, ImageRecord) else record


def _tags(row: dict[str, str]) -> dict[str, str]:
    texts = {column: as_text(value) for column, value in row.items()}
    given = {column: text.strip() for column, text in texts.items() if isinstance(text, str) and text.strip()}
    chosen = {tag: next((given[c] for c in columns if c in given), "") for tag, columns in _COLUMNS.items()}
    return {tag: value for tag, value in chosen.items() if value}
