"""The set that an evaluation ranks: the images of a split, with captions or in class folders."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.types import Failure, ImageRecord
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders.registry import family_of
from crossmodal.evaluation.encoding import image_of_captions, unreadable
from crossmodal.evaluation.recall import CAPTIONS_AN_IMAGE
from crossmodal.images.decode import decode
from crossmodal.images.geometry import thumbnail
from crossmodal.images.sources import of_record

Columns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class EvaluationSet:
    """The images and captions to rank. Without captions, the folders of the images are classes.

    Image i is `records[i]`, and caption j belongs to image `image_of[j]`. `left_out` counts the records that are not
    evaluated, by reason.
    """

    name: str
    split: str | None
    records: list[ImageRecord]
    left_out: dict[str, int] = field(default_factory=dict)

    @cached_property
    def captions(self) -> list[str]:
        """All captions, image by image."""
        return [caption for record in self.records for caption in record.captions]

    @cached_property
    def image_of(self) -> NDArray[np.int64]:
        """The index of each caption's image, (number of captions,) int64."""
        return image_of_captions(self.records)

    @property
    def class_names(self) -> list[str]:
        """The name of the folder of each image."""
        return [record.path.resolve().parent.name for record in self.records]

    def check_family(self, family: str) -> None:
        """Checks that a family encodes texts if there are captions to rank.

        Raises:
            InputError: The family encodes images only, or is unknown.
        """
        if self.captions and "text" not in family_of(family).modalities:
            raise InputError(
                f"{self.name} has captions, and {family} encodes images only: evaluate it on a folder of class "
                "folders without captions, or choose another model with -m"
            )

    def content(self, picture: int) -> bytes:
        """The bytes of an image file.

        Raises:
            InputError: The image can't be read.
        """
        try:
            return of_record(self.records[picture])
        except PictureError as error:
            raise InputError(unreadable(self.records[picture], error)) from error

    def thumbnail(self, picture: int) -> bytes:
        """A small JPEG of an image."""
        return thumbnail(decode(self.content(picture))[0])


def read_set(
    data_set: str, split: str | None = None, columns: Columns = (), at_most: int | None = None
) -> EvaluationSet:
    """The set of the images with captions, or of all images if none has captions.

    The protocol uses five captions per image. `left_out` counts further captions and unreadable records.

    Args:
        data_set: A name or a path, as for `-d`.
        split: The split, or None for all records.
        columns: Column names of a Parquet data set, as (role, name).
        at_most: Maximum number of images; None for all.

    Raises:
        InputError: The data set does not exist, or has no images in that split.
    """
    entries = list(data_sets.read(data_sets.canonical(data_set), split, columns))
    records = [entry for entry in entries if isinstance(entry, ImageRecord)]
    failures = [entry for entry in entries if isinstance(entry, Failure)]
    if not records:
        of_split = f" in its split {split!r}" if split else ""
        failed = (
            f"; {len(failures)} could not be read, first {failures[0].path}: {failures[0].reason}" if failures else ""
        )
        raise InputError(
            f"nothing to evaluate: {data_set} has no pictures{of_split}{failed}: "
            "choose another --split, or another data set with -d"
        )
    captioned = [record for record in records if record.captions]
    left_out = {"unreadable": len(failures)}
    if captioned:
        left_out["without_captions"] = len(records) - len(captioned)
    kept = (captioned or records)[:at_most]
    left_out["captions_beyond_five"] = sum(max(0, len(r.captions) - CAPTIONS_AN_IMAGE) for r in kept)
    kept = [replace(record, captions=record.captions[:CAPTIONS_AN_IMAGE]) for record in kept]
    return EvaluationSet(data_set, split, kept, {reason: n for reason, n in left_out.items() if n})
