"""Credit, licence and source tags of pictures, read from `ATTRIBUTION.csv`."""

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
"""The columns that may hold each tag; the first non-empty one is used."""


def with_credit(records: Iterator[Record], root: Path, pictures: list[str], base: Path) -> Iterator[Record]:
    """The records, with the tags `credit`, `licence` and `source` added to pictures that `ATTRIBUTION.csv` lists.

    Args:
        records: Records of pictures and captions.
        root: The folder of the pictures.
        pictures: The pictures' paths relative to `root`.
        base: The folder that may contain `ATTRIBUTION.csv`.
    """
    file = base / ATTRIBUTION
    if not file.is_file():
        yield from records
        return
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(file)), restval="", strict=True))
        tags_by_name = {row["image"]: _tags(row) for row in rows}
    except (OSError, ValueError, csv.Error, KeyError) as error:
        reason = "it has no column image" if isinstance(error, KeyError) else str(error)
        yield Failure(str(file), f"pictures are indexed without credit: {reason}")
        yield from records
        return
    resolved, unresolved = PictureNames(pictures, root, base).resolve(tags_by_name)
    tags = {root / pictures[picture]: tags_by_name[name] for name, picture in resolved.items()}
    if unresolved:
        yield Skipped(f"rows of {ATTRIBUTION} without a picture", len(unresolved), next(iter(unresolved)))
    for record in records:
        if isinstance(record, ImageRecord) and record.path in tags:
            record = replace(record, tags={**record.tags, **tags[record.path]})
        yield record


def _tags(row: dict[str, str]) -> dict[str, str]:
    texts = {column: as_text(value) for column, value in row.items()}
    values = {column: text.strip() for column, text in texts.items() if isinstance(text, str) and text.strip()}
    tags = {tag: next((values[c] for c in columns if c in values), "") for tag, columns in _COLUMNS.items()}
    return {tag: value for tag, value in tags.items() if value}
