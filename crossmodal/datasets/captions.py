"""Caption files to one table: which picture has which captions, and in which split it is.

Read are: Flickr8k's captions.txt (`image,caption`), Kaggle's Flickr30k results.csv (`|` between columns),
Karpathy's dataset_*.json, COCO's captions_*.json, and plain JSON, JSONL, CSV and Parquet with a column
for the picture and one for the caption.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.core.types import Failure

IMAGE_COLUMNS = ("image", "filename", "file_name", "image_name", "path", "name")
CAPTION_COLUMNS = ("caption", "captions", "text", "comment", "raw", "sentences")
SUFFIXES = (".txt", ".csv", ".json", ".jsonl", ".parquet")


@dataclass
class CaptionTable:
    """Captions and splits by the picture's name as the file writes it, and what could not be read."""

    captions: dict[str, list[str]] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def add(self, image: str, caption: str, where: str) -> None:
        """Adds one caption; an empty one, or one that names no picture, is a failure with its place."""
        image, caption = image.strip(), " ".join(caption.split())
        if not image:
            self.failures.append(Failure(where, "the caption names no picture", "text"))
            return
        known = self.captions.setdefault(image, [])
        if not caption:
            self.failures.append(Failure(where, f"the caption of {image} is empty", "text"))
        else:
            known.append(caption)


def read_captions(path: Path) -> CaptionTable:
    """Reads a caption file, told apart by its suffix and its content.

    Raises:
        InputError: Not there, or not of a kind that is known.
    """
    readers: dict[str, Callable[[Path, CaptionTable], None]] = {
        ".txt": _read_lines, ".csv": _read_csv, ".json": _read_json, ".jsonl": _read_jsonl, ".parquet": _read_parquet,
    }  # fmt: skip
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: captions are read from {', '.join(readers)}")
    table = CaptionTable()
    try:
        readers[path.suffix.lower()](path, table)
    except _MALFORMED as error:
        raise InputError(f"{path} can't be read as captions: {error}") from error
    splits = path.parent / "splits.csv"
    if splits.exists():
        try:
            with splits.open(encoding="utf8", newline="") as file:
                table.splits |= {row["image"]: row["split"] for row in csv.DictReader(file)}
        except _MALFORMED as error:
            raise InputError(f"{splits} can't be read as image,split: {error!r}") from error
    return table


_MALFORMED = (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error)


def _text_lines(path: Path, table: CaptionTable) -> Iterator[tuple[str, str]]:
    """Lines with their place; a line that is not UTF-8 is a failure, the others are read all the same."""
    for number, raw in enumerate(path.read_bytes().splitlines(), 1):
        where = f"{path.name}:{number}"
        try:
            yield where, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            table.failures.append(Failure(where, f"not UTF-8 ({error.reason}): save the file as UTF-8", "text"))


def _read_lines(path: Path, table: CaptionTable) -> None:
    """`image,caption`, split at the first comma; a header line is passed over."""
    for where, line in _text_lines(path, table):
        if not line.strip() or line.strip().lower() == "image,caption":
            continue
        image, comma, caption = line.partition(",")
        if not comma:
            table.failures.append(Failure(where, "expected image,caption", "text"))
            continue
        table.add(image, _unquote(caption.strip()), where)


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text


def _read_csv(path: Path, table: CaptionTable) -> None:
    """CSV with a header; the delimiter is `|` where the header has one, else a comma."""
    lines = list(_text_lines(path, table))
    if not lines:
        return
    delimiter = "|" if "|" in lines[0][1] else ","
    places = [where for where, _ in lines]
    reader = csv.reader(
        io.StringIO("\n".join(text for _, text in lines)),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiter == "|" else csv.QUOTE_MINIMAL,
    )
    header = [name.strip().lower() for name in next(reader, [])]
    image, caption = _column(header, IMAGE_COLUMNS, path), _column(header, CAPTION_COLUMNS, path)
    for row in reader:
        if not row:
            continue
        where = places[min(reader.line_num, len(places)) - 1]
        if len(row) <= max(image, caption):
            table.failures.append(Failure(where, f"expected {len(header)} columns, found {len(row)}", "text"))
            continue
        table.add(row[image], row[caption], where)


def _column(header: list[str], names: Iterable[str], path: Path) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise InputError(f"{path}: no column {' or '.join(names)} among {', '.join(header)}")


def _read_json(path: Path, table: CaptionTable) -> None:
    content = json.loads(path.read_text("utf8"))
    if isinstance(content, dict) and "images" in content and "annotations" in content:
        _read_coco(content, table)
    elif isinstance(content, dict) and "images" in content:
        _read_objects(content["images"], path, table)
    elif isinstance(content, list):
        _read_objects(content, path, table)
    else:
        _read_objects([{"image": name, "captions": told} for name, told in content.items()], path, table)


def _read_coco(content: dict[str, Any], table: CaptionTable) -> None:
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for name in names.values():
        table.captions.setdefault(name, [])
    for annotation in content["annotations"]:
        where = f"annotation {annotation.get('id', '?')}"
        table.add(names.get(annotation["image_id"], ""), annotation["caption"], where)


def _read_jsonl(path: Path, table: CaptionTable) -> None:
    for where, line in _text_lines(path, table):
        if not line.strip():
            continue
        try:
            _read_objects([json.loads(line)], path, table)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            table.failures.append(Failure(where, f"not a JSON object with a picture and captions: {error}", "text"))


def _read_parquet(path: Path, table: CaptionTable) -> None:
    import pyarrow.parquet as parquet

    _read_objects(parquet.read_table(path).to_pylist(), path, table)


def _read_objects(objects: Iterable[dict[str, Any]], path: Path, table: CaptionTable) -> None:
    """Objects with a picture and one caption, a list of captions, or Karpathy's list of sentences."""
    for number, given in enumerate(objects, 1):
        where = f"{path.name}, entry {number}"
        image = next((str(given[name]) for name in IMAGE_COLUMNS if given.get(name)), "")
        folder = given.get("filepath")  # Karpathy's COCO file: the folder of the picture
        image = f"{folder}/{image}" if folder and image else image
        told: Any = next((given[name] for name in CAPTION_COLUMNS if given.get(name) is not None), [])
        for caption in [told] if isinstance(told, str) else told:
            table.add(image, caption["raw"] if isinstance(caption, dict) else str(caption), where)
        if image and not told:
            table.captions.setdefault(image, [])
        if given.get("split"):
            table.splits[image] = "train" if given["split"] == "restval" else str(given["split"])
