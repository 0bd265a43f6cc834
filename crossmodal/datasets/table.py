"""What a caption file says, whatever kind of file it is: names, captions, splits, and what could not be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.core.types import Failure, ImageRecord
from crossmodal.datasets.columns import Columns, Found
from crossmodal.datasets.text import Unusable, as_text, as_utf8, captions_in

CAPTION_NUMBER = re.compile(r"(?<=\w)#\d+$")  # Flickr8k.token.txt: a.jpg#0


@dataclass
class CaptionTable:
    """Captions and splits by the picture's name as the file writes it, and what could not be read.

    `pictures` lie in the file itself, with their captions. `given_up` are names of which a caption is a failure,
    `loose` those whose folder may be missing.
    """

    captions: dict[str, list[str]] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    pictures: list[ImageRecord] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)
    loose: set[str] = field(default_factory=set)

    def add(self, name: object, captions: object, where: str) -> str | None:
        """Adds a picture's captions, and returns its name; None where it has none that can be used.

        A caption that is empty or no text, or that names no picture, is a failure with its place.
        """
        written = as_text("" if name is None else name)
        image = "" if isinstance(written, Unusable) else CAPTION_NUMBER.sub("", written.lstrip("\ufeff").rstrip())
        if not image.strip():
            why = f": its name {written.reason}" if isinstance(written, Unusable) else ""
            for _ in range(max(1, len(list(captions_in(captions))))):
                self.fail(where, f"the row names no picture{why}")
            return None
        self.captions.setdefault(image, []).extend(self.usable(captions, image, where))
        return image

    def usable(self, captions: object, image: str, where: str) -> list[str]:
        """The captions of a picture; those that can't be used become failures."""
        found = list(captions_in(captions))
        for unusable in found:
            if isinstance(unusable, Unusable):
                self.fail(where, f"the caption of {image} {unusable.reason}")
                self.given_up.add(image)
        return [caption for caption in found if isinstance(caption, str)]

    def put_split(self, image: str, split: object, where: str) -> None:
        """Puts a picture into a split; a second, other one is a failure."""
        told = split_name(split)
        if told is None:
            return
        if self.splits.setdefault(image, told) != told:
            self.failures.append(Failure(where, f"{image} is in the split {self.splits[image]!r} already"))

    def fail(self, where: str, reason: str) -> None:
        """Keeps why a caption could not be read."""
        self.failures.append(Failure(where, reason, "text"))


def split_name(split: object) -> str | None:
    """The name of a split; None where there is none. Karpathy's `restval` is for training."""
    told = "" if split is None else as_utf8(str(split)).strip()
    return "train" if told == "restval" else told or None


@dataclass
class Rows:
    """Puts rows with named cells into a table, and finds out whether they had the columns that are needed."""

    table: CaptionTable
    columns: Columns
    _seen: dict[str, None] = field(default_factory=dict)
    _has: set[str] = field(default_factory=set)

    def add(self, row: object, where: str, captions: object = None) -> None:
        """Adds a row; `captions`, where given, stand for those of its columns."""
        if not isinstance(row, Mapping):
            self.table.fail(where, f"expected an object with a picture and captions, found {type(row).__name__}")
            return
        found = self.found_in(row)
        told = captions_of(row, found) if captions is None else captions
        image = self.table.add(name_of(row, found), told, where)
        if image is not None and found.split:
            self.table.put_split(image, first(row, found.split), where)
        if image is not None and row.get("filepath"):
            self.table.loose.add(image)

    def found_in(self, row: Mapping[str, Any]) -> Found:
        """Which of its columns hold what."""
        if not row.keys() <= self._seen.keys():
            self.look_at(map(str, row))
        return self.columns.find(tuple(row))

    def require(self, *needed: str, given: bool = True) -> None:
        """Raises where rows were `given`, and none had a column for the `image` or the `caption`.

        Raises:
            InputError: With the columns there are, and the option that names them.
        """
        for what in needed:
            if given and not self._seen:
                raise InputError("expected objects with a picture and captions")
            if given and what not in self._has:
                raise InputError(self.columns.missing(what, self._seen))

    def look_at(self, columns: Iterable[str]) -> None:
        """Takes notice of the columns there are."""
        new = dict.fromkeys(columns)
        self._seen.update(new)
        found = self.columns.find(tuple(new))
        self._has |= {what for what, is_there in (("image", found.image), ("caption", found.captions)) if is_there}


def name_of(row: Mapping[str, Any], found: Found) -> Any:
    """The picture's name, below the folder that Karpathy's COCO file has in `filepath`."""
    values = (row[column] for column in found.image)
    names = (value.get("path") if isinstance(value, Mapping) else value for value in values)  # {bytes, path}: the hub's
    name = next((name for name in names if name is not None and name != ""), None)
    folder = row.get("filepath")
    return f"{folder}/{name}" if folder and isinstance(folder, str) and isinstance(name, str) and name else name


def captions_of(row: Mapping[str, Any], found: Found) -> Any:
    """The captions, from one column or from all that were named."""
    if found.every_caption:
        return [row[column] for column in found.captions]
    return next((row[column] for column in found.captions if row[column] is not None), None)


def first(row: Mapping[str, Any], columns: Iterable[str]) -> Any:
    """The first value that is none of None and ""."""
    return next((row[column] for column in columns if row[column] is not None and row[column] != ""), None)
