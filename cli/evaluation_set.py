"""What evaluate works on: the pictures of a data set and a split, with their captions, or in class folders."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.settings import Settings
from crossmodal.core.types import Failure, ImageRecord
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders.registry import family_of
from crossmodal.evaluation.recall import CAPTIONS_AN_IMAGE
from crossmodal.images.decode import decode
from crossmodal.images.geometry import thumbnail
from crossmodal.images.sources import of_record


@dataclass(frozen=True)
class EvaluationSet:
    """Picture i is `records[i]`; caption j belongs to picture `image_of[j]`. No captions: class folders.

    `left_out` says what of the data set is not evaluated and why, and how many records that is.
    """

    name: str
    split: str | None
    records: list[ImageRecord]
    left_out: dict[str, int] = field(default_factory=dict)

    @cached_property
    def captions(self) -> list[str]:
        """All captions, picture by picture."""
        return [caption for record in self.records for caption in record.captions]

    @cached_property
    def image_of(self) -> NDArray[np.int64]:
        """(number of captions,) which picture each caption is of."""
        return np.repeat(np.arange(len(self.records)), [len(record.captions) for record in self.records])

    @property
    def class_names(self) -> list[str]:
        """The folder each picture lies in."""
        return [record.path.resolve().parent.name for record in self.records]

    def check_family(self, family: str) -> None:
        """Refuses a model that knows pictures only where captions are to be ranked."""
        if self.captions and "text" not in family_of(family).modalities:
            raise InputError(
                f"{self.name} has captions, and {family} knows pictures only: evaluate it on a folder of class "
                "folders without captions, or choose another model with -m"
            )

    def content(self, picture: int) -> bytes:
        """The encoded bytes of a picture.

        Raises:
            InputError: It can't be read; no picture is left out, as the figures would be of another set.
        """
        try:
            return of_record(self.records[picture])
        except PictureError as error:
            raise InputError(self.unreadable(picture, error)) from error

    def unreadable(self, picture: int, reason: object) -> str:
        """What to say of a picture that can't be evaluated."""
        return f"{self.records[picture].path}: {reason}: mend it or take it out of the data set"

    def thumbnail(self, picture: int) -> bytes:
        """A small JPEG of a picture."""
        return thumbnail(decode(self.content(picture))[0])


def read_set(settings: Settings) -> EvaluationSet:
    """The pictures with captions, or all pictures where none has captions.

    The protocol takes five captions a picture; further ones are counted in `left_out`, and so is what the
    reader could not read.

    Raises:
        InputError: The data set is not there, or has no pictures in that split.
    """
    found = list(data_sets.read(data_sets.canonical(settings.data_set), settings.split, settings.columns))
    records = [record for record in found if isinstance(record, ImageRecord)]
    failures = [record for record in found if isinstance(record, Failure)]
    if not records:
        split = f" in its split {settings.split!r}" if settings.split else ""
        read = (
            f"; {len(failures)} could not be read, first {failures[0].path}: {failures[0].reason}" if failures else ""
        )
        raise InputError(
            f"nothing to evaluate: {settings.data_set} has no pictures{split}{read}: "
            "choose another --split, or another data set with -d"
        )
    captioned = [record for record in records if record.captions]
    left_out = {"unreadable": len(failures)}
    if captioned:
        left_out["without_captions"] = len(records) - len(captioned)
    kept = (captioned or records)[: settings.num_docs]
    left_out["captions_beyond_five"] = sum(max(0, len(r.captions) - CAPTIONS_AN_IMAGE) for r in kept)
    kept = [replace(record, captions=record.captions[:CAPTIONS_AN_IMAGE]) for record in kept]
    return EvaluationSet(settings.data_set, settings.split, kept, {why: n for why, n in left_out.items() if n})
