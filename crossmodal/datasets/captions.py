"""Caption files to one table: which picture has which captions, and in which split it is.

Read are: Flickr8k's captions.txt (`image,caption`) and Flickr8k.token.txt (`image#0<TAB>caption`), Kaggle's Flickr30k
results.csv (`|` between columns), Karpathy's dataset_*.json, COCO's captions_*.json, and plain JSON, JSONL, CSV and
Parquet with a column for the picture and one for the caption. All take the same column names, and the same values
for a caption.
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
from crossmodal.datasets.table import CAPTION_NUMBER, CaptionTable, Rows, captions_of, name_of
from crossmodal.datasets.text import Unusable, as_utf8, read_text, split_lines
from crossmodal.images.decode import EXTENSIONS

SPLITS = "splits.csv"
_MALFORMED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def read_captions(path: Path, columns: Columns | None = None) -> CaptionTable:
    """Reads a caption file, told apart by its suffix and its content, and the `splits.csv` beside it.

    Raises:
        InputError: Not there, not of a kind that is known, or without the columns that are needed.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: captions are read from {', '.join(READERS)}")
    table = CaptionTable()
    try:
        reader(path, Rows(table, columns or Columns()))
    except (InputError, *_MALFORMED) as error:
        raise InputError(f"{path} can't be read as captions: {_told(error)}") from error
    splits = path.parent / SPLITS
    if splits.exists():
        try:
            _read_splits(splits, table)
        except (InputError, *_MALFORMED) as error:
            raise InputError(f"{splits} can't be read as image,split: {_told(error)}") from error
    return table


def _told(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}: mend the JSON there, or fetch the file again"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return as_utf8(str(error)) if isinstance(error, (InputError, ValueError)) else repr(error)


def _read_lines(path: Path, rows: Rows) -> None:
    """`image,caption` or `image<TAB>caption`, split at the first; with a header of other columns, as CSV."""
    lines = split_lines(read_text(path))
    first = next((line for line in lines if line.strip()), "")
    delimiter, header = _header(first, rows.columns)
    found = rows.columns.find(header)
    is_header = bool(found.image and found.captions)
    if rows.columns != Columns() or (is_header and (len(header) != 2 or header[0] != found.image[0])):
        _read_csv(path, rows)
        return
    if not is_header:
        delimiter = next((d for d in DELIMITERS if _is_picture_name(first.partition(d)[0])), ",")
    start = lines.index(first) + 1 if is_header else 0
    for number, line in enumerate(lines[start:], start + 1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        image, there, caption = line.partition(delimiter)
        if not there:
            expected = "image<TAB>caption" if delimiter == "\t" else f"image{delimiter}caption"
            rows.table.fail(where, f"expected {expected}")
            continue
        quoted = split_row(caption.strip(), "\n")
        if quoted is None:
            rows.table.fail(where, f"the quote before the caption of {image} is not closed: close it, or take it away")
        else:
            rows.table.add(image, quoted[0], where)


def _read_csv(path: Path, rows: Rows) -> None:
    """CSV with a header; the delimiter is the one that parts the header into known columns."""
    lines = split_lines(read_text(path))
    if not lines and not path.stat().st_size:
        return
    start, delimiter, header = _start(lines, rows.columns)
    rows.look_at(header)
    rows.require("image", "caption")
    for where, cells in _cells(path, rows.columns, lines[start:], start, delimiter, header):
        if isinstance(cells, Unusable):
            rows.table.fail(where, cells.reason)
        else:
            rows.add(cells, where)


def _read_splits(path: Path, table: CaptionTable) -> None:
    """The splits of pictures, from the columns for the picture and `split`."""
    columns = Columns(captions=("split",), split="split")  # the header is found by both
    lines = split_lines(read_text(path))
    start, delimiter, header = _start(lines, columns)
    if not columns.find(header).image or not columns.find(header).split:
        raise ValueError(f"expected the columns image and split, found {', '.join(map(repr, header)) or 'none'}")
    own = CaptionTable()
    rows = Rows(own, columns)
    for where, cells in _cells(path, columns, lines[start:], start, delimiter, header):
        if isinstance(cells, Unusable):
            own.fail(where, cells.reason)
        else:
            rows.add(cells, where, captions=())
    table.failures += [replace(failure, modality="image") for failure in own.failures]
    table.splits |= own.splits


def _cells(
    path: Path, columns: Columns, lines: Sequence[str], start: int, delimiter: str, header: list[str]
) -> Iterator[tuple[str, dict[str, str] | Unusable]]:
    """Rows with their place, as cells by column."""
    places = {column: header.index(column) for column in header}  # of two columns of one name the first counts
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
    """The index of the first row, the delimiter and the header; `sep=;` may stand above it, as Excel writes it."""
    start = next((index for index, line in enumerate(lines) if line.strip("\ufeff \t")), 0)
    first = lines[start].strip() if lines else ""
    if first.lower().startswith("sep=") and len(first) == 5 and len(lines) > start + 1:
        return start + 2, first[4], [cell.strip() for cell in split_row(lines[start + 1], first[4]) or []]
    return start + 1, *_header(lines[start] if lines else "", columns)


def _header(line: str, columns: Columns) -> tuple[str, list[str]]:
    """The delimiter that parts a header into the most known columns, then into the most columns, and these."""

    def known(delimiter: str) -> tuple[int, int]:
        found = columns.find(headers[delimiter])
        return bool(found.image) + bool(found.captions), len(headers[delimiter])

    headers = {d: [cell.strip(" \ufeff") for cell in split_row(line, d) or line.split(d)] for d in DELIMITERS}
    delimiter = max(DELIMITERS, key=known)
    header = headers[delimiter]
    while len(header) > 1 and not header[-1]:
        header.pop()
    return delimiter, header


def _read_json(path: Path, rows: Rows) -> None:
    text = read_text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        _read_jsonl(path, rows)  # an object a line, under the name of plain JSON
        return
    if isinstance(content, dict) and "images" in content and "annotations" in content:
        _read_coco(content, path, rows)
        return
    if isinstance(content, dict):
        lists = [told for told in content.values() if isinstance(told, list) and told and isinstance(told[0], dict)]
        named = next((told for told in lists if rows.columns.find(tuple(told[0])).image), None)
        if "images" in content:
            named = content["images"]
        if named is None:
            for number, (name, told) in enumerate(content.items(), 1):
                rows.table.add(name, told, f"{path.name}, entry {number}")
            return
        content = named
    if not isinstance(content, list):
        raise ValueError(f"expected a list or an object, found {type(content).__name__}")
    for number, given in enumerate(content, 1):
        rows.add(given, f"{path.name}, entry {number}")
    rows.require("image", "caption", given=bool(content))


def _read_coco(content: dict[str, Any], path: Path, rows: Rows) -> None:
    """Pictures and annotations, joined by the picture's id; an id of several pictures is nobody's."""
    names: dict[str, dict[str, None]] = defaultdict(dict)
    for number, image in enumerate(content["images"], 1):
        name = name_of(image, rows.found_in(image)) if isinstance(image, dict) else None
        known = rows.table.add(name, None, f"{path.name}, image {number}")
        if known is not None:
            names[str(image.get("id"))][known] = None
    rows.require("image", given=bool(content["images"]))
    for number, annotation in enumerate(content["annotations"], 1):
        if not isinstance(annotation, dict):
            rows.table.fail(f"{path.name}, annotation {number}", "expected an object with image_id and caption")
            continue
        where, image_id = f"annotation {annotation.get('id', f'number {number}')}", annotation.get("image_id")
        pictures = list(names.get(str(image_id), ()))
        if len(pictures) > 1:
            rows.table.fail(where, f"its image_id {image_id} is of several pictures: {listed(pictures)}")
        else:
            rows.table.add(pictures[0] if pictures else "", captions_of(annotation, rows.found_in(annotation)), where)
    rows.require("caption", given=bool(content["annotations"]))


def _read_jsonl(path: Path, rows: Rows) -> None:
    n_read = 0
    for number, line in enumerate(split_lines(read_text(path)), 1):
        where, line = f"{path.name}:{number}", line.strip("\ufeff \t")
        if not line:
            continue
        try:
            given = json.loads(line)
        except (ValueError, RecursionError) as error:
            rows.table.fail(where, f"not a JSON object with a picture and captions: {as_utf8(str(error))}")
            continue
        rows.add(given, where)
        n_read += isinstance(given, dict)
    rows.require("image", "caption", given=n_read > 0)


READERS: dict[str, Callable[[Path, Rows], None]] = {
    ".txt": _read_lines, ".csv": _read_csv, ".json": _read_json, ".jsonl": _read_jsonl, ".parquet": read_parquet,
    ".tsv": _read_csv, ".token": _read_lines,
}  # fmt: skip
"""By the suffix of the file, in lower case."""
