"""The pictures of an experiment, with their classes, and those that can't be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.ahead import DECODERS
from crossmodal.core.batched import batched
from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.types import Failure, ImageRecord, Preprocessing, image_id
from crossmodal.datasets import registry as data_sets
from crossmodal.evaluation.recall import CAPTIONS_AN_IMAGE
from crossmodal.experiment.cache import Cache, space_of
from crossmodal.images.decode import read_at_scale
from crossmodal.images.geometry import reduction, thumbnail
from crossmodal.images.sources import of_record

THUMBNAIL_PX = 192
_THUMBNAILS = space_of("thumbnails", THUMBNAIL_PX)
_BATCH = 64


class Stage(Protocol):
    """A stage of an experiment, whose progress is shown."""

    def advance(self, n: int = 1) -> None:
        """Counts n more completed items."""
        ...


Progress = Callable[[str, int], AbstractContextManager[Stage]]
"""From the name of a stage and its number of items to the stage."""


@dataclass(frozen=True)
class Picture:
    """A picture that can be decoded. `path` is relative to the folder of the set; `thumbnail` is a JPEG."""

    id: str
    path: str
    width: int
    height: int
    thumbnail: bytes
    record: ImageRecord


@dataclass(frozen=True)
class PictureSet:
    """The pictures of an experiment by id, equal pictures by path; the index in this order breaks ties.

    `class_of` has the index in `classes` of each picture; None if all pictures are in one folder.
    """

    name: str
    pictures: list[Picture]
    skipped: list[Failure]
    classes: list[str]
    class_of: NDArray[np.int64] | None

    @cached_property
    def ids(self) -> list[str]:
        """The id of each picture."""
        return [picture.id for picture in self.pictures]

    @cached_property
    def captions(self) -> list[str]:
        """All captions, picture by picture, at most five of each."""
        return [caption for picture in self.pictures for caption in picture.record.captions[:CAPTIONS_AN_IMAGE]]

    @cached_property
    def image_of(self) -> NDArray[np.int64]:
        """The index of each caption's picture, (number of captions,) int64."""
        n_captions = [len(picture.record.captions[:CAPTIONS_AN_IMAGE]) for picture in self.pictures]
        return np.repeat(np.arange(len(self.pictures)), n_captions)

    @cached_property
    def digest(self) -> str:
        """A hash of the pictures and their classes, on which all rankings depend."""
        class_of = None if self.class_of is None else self.class_of.tolist()
        return space_of(self.ids, self.classes, class_of)


def read_pictures(
    data_set: str, cache: Cache, progress: Progress, split: str | None = None, at_most: int | None = None
) -> PictureSet:
    """The pictures of a data set; unreadable ones are listed in `skipped`.

    Args:
        data_set: A name or a path, as for `-d`.
        cache: Has thumbnails and sizes from earlier runs.
        progress: Shows the pictures that were read.
        split: The split, or None for all records.
        at_most: Maximum number of pictures; None for all.

    Raises:
        InputError: The data set does not exist, or fewer than two of its pictures can be read.
    """
    entries = list(data_sets.read(data_sets.canonical(data_set), split))
    records = [entry for entry in entries if isinstance(entry, ImageRecord)][:at_most]
    root = _common_folder(records)
    skipped = [_relative(entry, root) for entry in entries if isinstance(entry, Failure)]
    pictures: list[Picture] = []
    with ThreadPoolExecutor(DECODERS) as pool, progress("pictures", len(records)) as stage:
        for part in batched(records, _BATCH):
            for picture in _read(part, root, cache, pool):
                if isinstance(picture, Failure):
                    skipped.append(picture)
                else:
                    pictures.append(picture)
            stage.advance(len(part))
    if len(pictures) < 2:
        first = f"; {skipped[0].path}: {skipped[0].reason}" if skipped else ""
        raise InputError(f"{data_set} has {len(pictures)} readable pictures, and an experiment needs two{first}")
    pictures.sort(key=lambda picture: (picture.id, picture.path))
    classes, class_of = _classes([picture.record.path.resolve().parent.name for picture in pictures])
    return PictureSet(Path(data_set).name or data_set, pictures, skipped, classes, class_of)


def _classes(folders: list[str]) -> tuple[list[str], NDArray[np.int64] | None]:
    classes = sorted(set(folders))
    if len(classes) < 2:
        return [], None
    number = {name: place for place, name in enumerate(classes)}
    return classes, np.array([number[name] for name in folders], np.int64)


def _common_folder(records: list[ImageRecord]) -> Path:
    """The deepest folder with all pictures, or the parent of the only folder with pictures."""
    folders = {record.path.absolute().parent for record in records}
    if not folders:
        return Path.cwd()
    return Path(os.path.commonpath(folders)) if len(folders) > 1 else folders.pop()


def _relative(failure: Failure, root: Path) -> Failure:
    return Failure(_below(Path(failure.path), root), failure.reason)


def _below(path: Path, root: Path) -> str:
    return os.path.relpath(path.absolute(), root) if path.absolute().is_relative_to(root) else path.name


def _read(
    records: list[ImageRecord], root: Path, cache: Cache, pool: ThreadPoolExecutor
) -> Iterator[Picture | Failure]:
    """The pictures of records, in order, with the thumbnails of the cache or new ones."""
    contents = list(pool.map(_content, records))
    ids = [image_id(content) if isinstance(content, bytes) else "" for content in contents]
    known = cache.get(_THUMBNAILS, dict.fromkeys(ids))
    pairs = zip(ids, contents, strict=True)
    missing = {name: content for name, content in pairs if isinstance(content, bytes) and name not in known}
    made = dict(zip(missing, pool.map(_thumbnail, missing.values()), strict=True))
    new = {name: content for name, content in made.items() if isinstance(content, bytes)}
    if new:
        cache.put({_THUMBNAILS: new})
    for record, name, content in zip(records, ids, contents, strict=True):
        small = content if not name else known.get(name) or made[name]
        path = _below(record.path, root)
        if isinstance(small, bytes):
            width, height = (int.from_bytes(small[start : start + 4]) for start in (0, 4))
            yield Picture(name, path, width, height, small[8:], record)
        else:
            yield Failure(path, str(small))


def _content(record: ImageRecord) -> bytes | PictureError:
    try:
        return of_record(record)
    except PictureError as error:
        return error


def _thumbnail(content: bytes) -> bytes | PictureError:
    """The width and the height of a picture in four bytes each, and its thumbnail."""
    geometry = Preprocessing(THUMBNAIL_PX)
    try:
        picture, *_ = read_at_scale(content, lambda width, height: reduction(width, height, geometry))
    except PictureError as error:
        return error
    return b"".join(side.to_bytes(4) for side in picture.size) + thumbnail(picture, THUMBNAIL_PX)
