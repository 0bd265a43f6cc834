"""The content of a caption file of any format: picture names, captions, splits and failures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.core.types import Failure, ImageRecord
from crossmodal.datasets.columns import ColumnMatch, Columns
from crossmodal.datasets.text import Unusable, as_text, as_utf8, captions_in

CAPTION_NUMBER = re.compile(r"(?<=\w)#\d+$")  # Flickr8k.token.txt: a.jpg#0


@dataclass
class CaptionTable:
    """Captions and splits by picture name, as the file spells it, and the failures.

    Attributes:
        captions: The captions of each picture name.
        splits: The split of each picture name.
        failures: Rows and captions that can't be used.
        pictures: Pictures embedded in the file, with their captions.
        with_failures: Picture names with at least one unusable caption.
        loose: Relative picture names whose leading folders need not exist.
    """

    captions: dict[str, list[str]] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    pictures: list[ImageRecord] = field(default_factory=list)
    with_failures: set[str] = field(default_factory=set)
    loose: set[str] = field(default_factory=set)

    def add(self, name: object, captions: object, where: str) -> str | None:
        """Adds a picture's captions and returns its name, or None if the name is not usable.

        A row without a picture name and an unusable caption are stored as failures at `where`.
        """
        text = as_text("" if name is None else name)
        image = "" if isinstance(text, Unusable) else CAPTION_NUMBER.sub("", text.lstrip("\ufeff").rstrip())
        if not image.strip():
            why = f": its name {text.reason}" if isinstance(text, Unusable) else ""
            for _ in range(max(1, len(list(captions_in(captions))))):
                self.fail(where, f"the row names no picture{why}")
            return None
        self.captions.setdefault(image, []).extend(self.usable(captions, image, where))
        return image

    def usable(self, captions: object, image: str, where: str) -> list[str]:
        """The usable captions of a picture; the others are stored as failures."""
        values = list(captions_in(captions))
        for value in values:
            if isinstance(value, Unusable):
                self.fail(where, f"the caption of {image} {value.reason}")
                self.with_failures.add(image)
        return [caption for caption in values if isinstance(caption, str)]

    def put_split(self, image: str, split: object, where: str) -> None:
        """Assigns a picture to a split; a second, different split is stored as a failure."""
        name = split_name(split)
        if name is None:
            return
        if self.splits.setdefault(image, name) != name:
            self.failures.append(Failure(where, f"{image} is in the split {self.splits[image]!r} already"))

    def fail(self, where: str, reason: str) -> None:
        """Stores a caption failure."""
        self.failures.append(Failure(where, reason, "text"))


def split_name(split: object) -> str | None:
    """The name of a split, or None if empty; Karpathy's `restval` counts as `train`."""
    name = "" if split is None else as_utf8(str(split)).strip()
    return "train" if name == "restval" else name or None


@dataclass
class TableBuilder:
    """Fills a table from rows with named cells, and checks that the required columns occurred."""

    table: CaptionTable
    columns: Columns
    _header: dict[str, None] = field(default_factory=dict)
    _available: set[str] = field(default_factory=set)

    def add(self, row: object, where: str, captions: object = None) -> None:
        """Adds a row; `captions`, if given, replace those of its columns."""
        if not isinstance(row, Mapping):
            self.table.fail(where, f"expected an object with a picture and captions, found {type(row).__name__}")
            return
        match = self.match(row)
        values = captions_of(row, match) if captions is None else captions
        image = self.table.add(name_of(row, match), values, where)
        if image is not None and match.split:
            self.table.put_split(image, first(row, match.split), where)
        if image is not None and row.get("filepath"):
            self.table.loose.add(image)

    def match(self, row: Mapping[str, Any]) -> ColumnMatch:
        """The row's columns for each purpose."""
        if not row.keys() <= self._header.keys():
            self.add_header(map(str, row))
        return self.columns.find(tuple(row))

    def require(self, *keys: str, has_rows: bool = True) -> None:
        """Checks that the rows, if there were any, had a column for each of `image` and `caption` in `keys`.

        Raises:
            InputError: A column is missing; the message lists the columns and the option that names them.
        """
        for key in keys:
            if has_rows and not self._header:
                raise InputError("expected objects with a picture and captions")
            if has_rows and key not in self._available:
                raise InputError(self.columns.missing(key, self._header))

    def add_header(self, columns: Iterable[str]) -> None:
        """Records which columns occur."""
        new = dict.fromkeys(columns)
        self._header.update(new)
        match = self.columns.find(tuple(new))
        self._available |= {key for key, names in (("image", match.image), ("caption", match.captions)) if names}


def name_of(row: Mapping[str, Any], match: ColumnMatch) -> Any:
    """The picture's name, prefixed by the folder that Karpathy's COCO file has in `filepath`."""
    values = (row[column] for column in match.image)
    names = (value.get("path") if isinstance(value, Mapping) else value for value in values)  # the hub's {bytes, path}
    name = next((name for name in names if name is not None and name != ""), None)
    folder = row.get("filepath")
    return f"{folder}/{name}" if folder and isinstance(folder, str) and isinstance(name, str) and name else name


def captions_of(row: Mapping[str, Any], match: ColumnMatch) -> Any:
    """The row's caption values, from all caption columns or from the first with a value."""
    if match.every_caption:
        return [row[column] for column in match.captions]
    return next((row[column] for column in match.captions if row[column] is not None), None)


def first(row: Mapping[str, Any], columns: Iterable[str]) -> Any:
    """The first value that is neither None nor empty; None if there is none."""
    return next((row[column] for column in columns if row[column] is not None and row[column] != ""), None)
