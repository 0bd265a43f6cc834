"""The train and dev records of a data set."""

from __future__ import annotations

from crossmodal.core.errors import InputError
from crossmodal.core.types import ImageRecord
from crossmodal.datasets import registry as data_sets

Columns = tuple[tuple[str, str], ...]


def train_and_dev(name: str, at_most: int | None, columns: Columns = ()) -> tuple[list[ImageRecord], list[ImageRecord]]:
    """The captioned train and dev records of a data set; the dev split may also be called `val`.

    Args:
        name: Canonical name of the data set.
        at_most: Maximum number of train records; None for all.
        columns: Column names of a Parquet data set, as (role, name).

    Raises:
        InputError: The data set has no such split; the message lists its splits.
    """
    train = captioned(name, "train", columns)[:at_most]
    try:
        return train, captioned(name, "dev", columns)
    except InputError:
        return train, captioned(name, "val", columns)


def captioned(name: str, split: str | None, columns: Columns = ()) -> list[ImageRecord]:
    """The records of a split that have captions."""
    return [r for r in data_sets.read(name, split, columns) if isinstance(r, ImageRecord) and r.captions]
