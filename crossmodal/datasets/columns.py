"""Column names of caption files: which columns hold the picture's name, its captions and its split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

from crossmodal.core.errors import InputError
from crossmodal.datasets.names import listed
from crossmodal.images.decode import EXTENSIONS

IMAGE_COLUMNS = ("image", "filename", "file_name", "image_name", "image_path", "image_file", "path", "file", "name")
CAPTION_COLUMNS = ("caption", "captions", "text", "comment", "raw", "sentence", "sentences", "description")
SPLIT_COLUMNS = ("split",)
OPTION = "--columns image=NAME,caption=NAME"

_NUMBERED = re.compile(r"caption\d+")


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.strip("\ufeff").casefold())


@dataclass(frozen=True)
class ColumnMatch:
    """The columns of a file for each purpose, as the file spells them, in order of preference.

    In each row, the first column with a value counts; if `every_caption`, each of `captions` holds one caption.
    """

    image: tuple[str, ...]
    captions: tuple[str, ...]
    split: tuple[str, ...]
    every_caption: bool


@dataclass(frozen=True)
class Columns:
    """The columns that the user named; the default names apply to those that are None or empty.

    Names match regardless of case, surrounding blanks, and `-`, `_` and blanks within them.
    """

    image: str | None = None
    captions: tuple[str, ...] = ()
    split: str | None = None

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[str, str]]) -> Columns:
        """The columns of (`image`, `caption` or `split`, NAME) pairs; `caption` may be repeated.

        Raises:
            InputError: A pair has another key or an empty name, or repeats `image` or `split`.
        """
        names: dict[str, list[str]] = {"image": [], "caption": [], "split": []}
        for key, name in pairs:
            if key not in names or not name or (names[key] and key != "caption"):
                raise InputError(f"columns: {key}={name}: give each once, as in {OPTION}; caption may be repeated")
            names[key].append(name)
        image, split = (next(iter(names[key]), None) for key in ("image", "split"))
        return cls(image, tuple(names["caption"]), split)

    def find(self, header: Sequence[str]) -> ColumnMatch:
        """The columns of a header that match."""
        return _find(self, tuple(header))

    def missing(self, key: str, header: Iterable[str]) -> str:
        """The error message if no column of a header matches `key`, which is `image` or `caption`."""
        chosen = [self.image] if key == "image" else list(self.captions)
        defaults = IMAGE_COLUMNS if key == "image" else CAPTION_COLUMNS
        expected = " or ".join(name for name in chosen if name) or " or ".join(defaults)
        names = list(header)
        available = listed([repr(name) for name in names], 20) or "none"
        if any(PurePath(name).suffix.lower() in EXTENSIONS for name in names):
            how = "add a header line above it, such as image,caption, with the same separator"
            return f"the first line is not a header: {available}; {how}"
        return f"no column {expected} among {available}: name it with {OPTION}"


@lru_cache(maxsize=256)
def _find(columns: Columns, header: tuple[str, ...]) -> ColumnMatch:
    by_name: dict[str, str] = {}
    for column in header:
        by_name.setdefault(_folded(column), column)

    def matching(names: Iterable[str]) -> tuple[str, ...]:
        exact_or_folded = (name if name in header else by_name.get(_folded(name)) for name in names)
        return tuple(dict.fromkeys(column for column in exact_or_folded if column is not None))

    image = matching([columns.image] if columns.image else IMAGE_COLUMNS)
    split = matching([columns.split] if columns.split else SPLIT_COLUMNS)
    if columns.captions:
        return ColumnMatch(image, matching(columns.captions), split, every_caption=True)
    captions = matching(CAPTION_COLUMNS)
    numbered = tuple(column for name, column in by_name.items() if _NUMBERED.fullmatch(name))
    return ColumnMatch(image, captions or numbered, split, every_caption=not captions)
