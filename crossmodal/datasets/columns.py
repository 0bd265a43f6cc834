"""Which columns of a table hold the pictures, the captions and the splits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from crossmodal.core.errors import InputError
from crossmodal.datasets.names import listed

IMAGE_COLUMNS = ("image", "filename", "file_name", "image_name", "image_path", "image_file", "path", "file", "name")
CAPTION_COLUMNS = ("caption", "captions", "text", "comment", "raw", "sentence", "sentences", "description")
SPLIT_COLUMNS = ("split",)
OPTION = "--columns image=NAME,caption=NAME"

_NUMBERED = re.compile(r"caption\d+")


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.strip("\ufeff").casefold())


@dataclass(frozen=True)
class Found:
    """The columns there are, as the file writes them, in the order they are looked at.

    The picture and the split are the first with a value. So is the caption, unless `every_caption` says that each of
    them holds one.
    """

    image: tuple[str, ...]
    captions: tuple[str, ...]
    split: tuple[str, ...]
    every_caption: bool


@dataclass(frozen=True)
class Columns:
    """The columns that were named; without names, the usual ones are looked for.

    Case, surrounding blanks, and `-`, `_` and blanks within a name don't matter.
    """

    image: str | None = None
    captions: tuple[str, ...] = ()
    split: str | None = None

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[str, str]]) -> Columns:
        """From (`image`, `caption` or `split`, NAME); `caption` may be given several times.

        Raises:
            InputError: Another word, no name, or one given twice.
        """
        given: dict[str, list[str]] = {"image": [], "caption": [], "split": []}
        for what, name in pairs:
            if what not in given or not name or (given[what] and what != "caption"):
                raise InputError(f"columns: {what}={name}: give each once, as in {OPTION}; caption may be repeated")
            given[what].append(name)
        image, split = (next(iter(given[what]), None) for what in ("image", "split"))
        return cls(image, tuple(given["caption"]), split)

    def find(self, present: Sequence[str]) -> Found:
        """Those of the columns that are present."""
        return _find(self, tuple(present))

    def missing(self, what: str, present: Iterable[str]) -> str:
        """What to say where none is present; `what` is `image` or `caption`."""
        named = [self.image] if what == "image" else list(self.captions)
        usual = IMAGE_COLUMNS if what == "image" else CAPTION_COLUMNS
        wanted = " or ".join(name for name in named if name) or " or ".join(usual)
        there = listed([repr(name) for name in present], 20) or "none"
        return f"no column {wanted} among {there}: name it with {OPTION}"


@lru_cache(maxsize=256)
def _find(columns: Columns, present: tuple[str, ...]) -> Found:
    by_name: dict[str, str] = {}
    for column in present:
        by_name.setdefault(_folded(column), column)

    def of(names: Iterable[str]) -> tuple[str, ...]:
        exact_or_folded = (name if name in present else by_name.get(_folded(name)) for name in names)
        return tuple(dict.fromkeys(column for column in exact_or_folded if column is not None))

    image = of([columns.image] if columns.image else IMAGE_COLUMNS)
    split = of([columns.split] if columns.split else SPLIT_COLUMNS)
    if columns.captions:
        return Found(image, of(columns.captions), split, every_caption=True)
    captions = of(CAPTION_COLUMNS)
    numbered = tuple(column for name, column in by_name.items() if _NUMBERED.fullmatch(name))
    return Found(image, captions or numbered, split, every_caption=not captions)
