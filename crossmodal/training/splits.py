"""The records of a data set that training learns from, and those that it chooses by."""

from __future__ import annotations

from crossmodal.core.errors import InputError
from crossmodal.core.types import ImageRecord
from crossmodal.datasets import registry as data_sets

Columns = tuple[tuple[str, str], ...]


def train_and_dev(name: str, at_most: int | None, columns: Columns = ()) -> tuple[list[ImageRecord], list[ImageRecord]]:
    """The train and dev records of a data set that has captions and splits; `dev` may also be called `val`.

    Args:
        name: The data set by its canonical name.
        at_most: How many train records to keep.
        columns: Names of the columns of a Parquet data set, (role, name).

    Raises:
        InputError: It has no such split; the message names those it has.
    """
    train = captioned(name, "train", columns)[:at_most]
    try:
        return train, captioned(name, "dev", columns)
    except InputError:
        return train, captioned(name, "val", columns)


def captioned(name: str, split: str | None, columns: Columns = ()) -> list[ImageRecord]:
    """The records of a split that have captions."""
    return [r for r in data_sets.read(name, split, columns) if isinstance(r, ImageRecord) and r.captions]
