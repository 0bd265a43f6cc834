"""Readers of caption files: each fills a table of captions and splits by picture name.

Supported formats: Flickr8k's captions.txt (`image,caption`) and Flickr8k.token.txt (`image#0<TAB>caption`), Kaggle's
Flickr30k results.csv (`|` between columns), Karpathy's dataset_*.json, COCO's captions_*.json, and JSON, JSONL, CSV and
Parquet with a column for the picture and one for the caption. All formats share the same column names and the same
rules for caption values.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.datasets.columns import Columns
from crossmodal.datasets.names import listed
from crossmodal.datasets.parquet import read_parquet
from crossmodal.datasets.rows import DELIMITERS, read_rows, split_row
from crossmodal.datasets.table import CAPTION_NUMBER, CaptionTable, TableBuilder, captions_of, name_of
from crossmodal.datasets.text import Unusable, as_utf8, read_text, split_lines
from crossmodal.images.decode import EXTENSIONS

SPLITS = "splits.csv"
_MALFORMED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def read_captions(path: Path, columns: Columns | None = None) -> CaptionTable:
    """The table of a caption file, whose suffix and content decide the format, and of the `splits.csv` beside it.

    Raises:
        InputError: The file is missing or malformed, or lacks a required column; or its format is not supported.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: captions are read from {', '.join(READERS)}; unpack an archive and name its folder")
    table = CaptionTable()
    try:
        reader(path, TableBuilder(table, columns or Columns()))
    except (InputError, *_MALFORMED) as error:
        raise InputError(f"{path} can't be read as captions: {_reason(error)}") from error
    splits = path.parent / SPLITS
    if splits.exists():
        try:
            _read_splits(splits, table)
        except (InputError, *_MALFORMED) as error:
            raise InputError(f"{splits} can't be read as image,split: {_reason(error)}") from error
    return table


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}: fix the JSON there, or download the file again"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return as_utf8(str(error)) if isinstance(error, (InputError, ValueError)) else repr(error)


def _read_lines(path: Path, rows: TableBuilder) -> None:
    """Reads `image,caption` or `image<TAB>caption` lines, split at the first delimiter.

    A file whose header has other columns is read as CSV.
    """
    lines = split_lines(read_text(path))
    first = next((line for line in lines if line.strip()), "")
    delimiter, header = _header(first, rows.columns)
    match = rows.columns.find(header)
    is_header = bool(match.image and match.captions)
    if rows.columns != Columns() or (is_header and (len(header) != 2 or header[0] != match.image[0])):
        _read_csv(path, rows)
        return
    if not is_header:
        delimiter = next((d for d in DELIMITERS if _is_picture_name(first.partition(d)[0])), ",")
    start = lines.index(first) + 1 if is_header else 0
    for number, line in enumerate(lines[start:], start + 1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        image, separator, caption = line.partition(delimiter)
        if not separator:
            expected = "image<TAB>caption" if delimiter == "\t" else f"image{delimiter}caption"
            rows.table.fail(where, f"expected {expected}")
            continue
        quoted = split_row(caption.strip(), "\n")
        if quoted is None:
            rows.table.fail(where, f"unclosed quote before the caption of {image}: close the quote or remove it")
        else:
            rows.table.add(image, quoted[0], where)


def _read_csv(path: Path, rows: TableBuilder) -> None:
    """Reads CSV with a header; the delimiter is the one that splits the header into known columns."""
    lines = split_lines(read_text(path))
    if not lines and not path.stat().st_size:
        return
    start, delimiter, header = _start(lines, rows.columns)
    rows.add_header(header)
    rows.require("image", "caption")
    for where, cells in _cells(path, rows.columns, lines[start:], start, delimiter, header):
        if isinstance(cells, Unusable):
            rows.table.fail(where, cells.reason)
        else:
            rows.add(cells, where)


def _read_splits(path: Path, table: CaptionTable) -> None:
    """Reads the splits of pictures from the image column and the `split` column into a table."""
    columns = Columns(captions=("split",), split="split")  # `captions` makes the header detection count `split`
    lines = split_lines(read_text(path))
    start, delimiter, header = _start(lines, columns)
    if not columns.find(header).image or not columns.find(header).split:
        raise ValueError(f"expected the columns image and split, found {', '.join(map(repr, header)) or 'none'}")
    splits = CaptionTable()
    rows = TableBuilder(splits, columns)
    for where, cells in _cells(path, columns, lines[start:], start, delimiter, header):
        if isinstance(cells, Unusable):
            splits.fail(where, cells.reason)
        else:
            rows.add(cells, where, captions=())
    table.failures += [replace(failure, modality="image") for failure in splits.failures]
    table.splits |= splits.splits


def _cells(
    path: Path, columns: Columns, lines: Sequence[str], start: int, delimiter: str, header: list[str]
) -> Iterator[tuple[str, dict[str, str] | Unusable]]:
    """(place in the file, cells by column) of each row."""
    places = {column: header.index(column) for column in header}  # of duplicate columns the first counts
    image = places[columns.find(header).image[0]]
    for index, cells in read_rows(lines, delimiter, len(header), image, _is_picture_name):
        where = f"{path.name}:{start + index + 1}"
        if isinstance(cells, Unusable):
            yield where, cells
        else:
            yield where, {column: cells[place] for column, place in places.items()}


def _is_picture_name(cell: str) -> bool:
    return PurePosixPath(CAPTION_NUMBER.sub("", cell.strip(' "'))).suffix.lower() in EXTENSIONS


def _start(lines: Sequence[str], columns: Columns) -> tuple[int, str, list[str]]:
    """The index of the first row, the delimiter and the header, after an optional `sep=;` line as Excel writes it."""
    start = next((index for index, line in enumerate(lines) if line.strip("\ufeff \t")), 0)
    first = lines[start].strip() if lines else ""
    if first.lower().startswith("sep=") and len(first) == 5 and len(lines) > start + 1:
        return start + 2, first[4], [cell.strip() for cell in split_row(lines[start + 1], first[4]) or []]
    return start + 1, *_header(lines[start] if lines else "", columns)


def _header(line: str, columns: Columns) -> tuple[str, list[str]]:
    """The delimiter that yields the most known columns, then the most columns; and the column names."""

    def n_columns(delimiter: str) -> tuple[int, int]:
        match = columns.find(headers[delimiter])
        return bool(match.image) + bool(match.captions), len(headers[delimiter])

    headers = {d: [cell.strip(" \ufeff") for cell in split_row(line, d) or line.split(d)] for d in DELIMITERS}
    delimiter = max(DELIMITERS, key=n_columns)
    header = headers[delimiter]
    while len(header) > 1 and not header[-1]:
        header.pop()
    return delimiter, header


def _read_json(path: Path, rows: TableBuilder) -> None:
    text = read_text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        _read_jsonl(path, rows)  # JSON Lines with the suffix .json
        return
    if isinstance(content, dict) and "images" in content and "annotations" in content:
        _read_coco(content, path, rows)
        return
    if isinstance(content, dict):
        lists = [
            value for value in content.values() if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        entries = next((entries for entries in lists if rows.columns.find(tuple(entries[0])).image), None)
        if "images" in content:
            entries = content["images"]
        if entries is None:
            for number, (name, captions) in enumerate(content.items(), 1):
                rows.table.add(name, captions, f"{path.name}, entry {number}")
            return
        content = entries
    if not isinstance(content, list):
        raise ValueError(f"expected a list or an object, found {type(content).__name__}")
    for number, entry in enumerate(content, 1):
        rows.add(entry, f"{path.name}, entry {number}")
    rows.require("image", "caption", has_rows=bool(content))


def _read_coco(content: dict[str, Any], path: Path, rows: TableBuilder) -> None:
    """Reads pictures and annotations, joined by the picture's id; rejects annotations of an ambiguous id."""
    names: dict[str, dict[str, None]] = defaultdict(dict)
    for number, image in enumerate(content["images"], 1):
        name = name_of(image, rows.match(image)) if isinstance(image, dict) else None
        added = rows.table.add(name, None, f"{path.name}, image {number}")
        if added is not None:
            names[str(image.get("id"))][added] = None
    rows.require("image", has_rows=bool(content["images"]))
    for number, annotation in enumerate(content["annotations"], 1):
        if not isinstance(annotation, dict):
            rows.table.fail(f"{path.name}, annotation {number}", "expected an object with image_id and caption")
            continue
        where, image_id = f"annotation {annotation.get('id', f'number {number}')}", annotation.get("image_id")
        pictures = list(names.get(str(image_id), ()))
        if len(pictures) > 1:
            rows.table.fail(where, f"several pictures have its image_id {image_id}: {listed(pictures)}")
        else:
            rows.table.add(pictures[0] if pictures else "", captions_of(annotation, rows.match(annotation)), where)
    rows.require("caption", has_rows=bool(content["annotations"]))


def _read_jsonl(path: Path, rows: TableBuilder) -> None:
    n_read = 0
    for number, line in enumerate(split_lines(read_text(path)), 1):
        where, line = f"{path.name}:{number}", line.strip("\ufeff \t")
        if not line:
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            rows.table.fail(where, f"not a JSON object with a picture and captions: {as_utf8(str(error))}")
            continue
        rows.add(entry, where)
        n_read += isinstance(entry, dict)
    rows.require("image", "caption", has_rows=n_read > 0)


READERS: dict[str, Callable[[Path, TableBuilder], None]] = {
    ".txt": _read_lines, ".csv": _read_csv, ".json": _read_json, ".jsonl": _read_jsonl, ".parquet": read_parquet,
    ".tsv": _read_csv, ".token": _read_lines,
}  # fmt: skip
"""The reader of each file suffix, in lower case."""
