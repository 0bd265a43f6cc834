"""The tags of a picture's document that follow from its metadata and its file name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from crossmodal.core.settings import MetadataChoice
from crossmodal.metadata import places
from crossmodal.metadata.embedded import Embedded
from crossmodal.metadata.times import time_in_name

LOCATION_TAGS = frozenset({"latitude", "longitude", "place", "region", "country"})
"""Tags that say where a picture was taken."""


def with_metadata(
    given: Mapping[str, Any], embedded: Embedded, path: str, choice: MetadataChoice = "all"
) -> dict[str, Any]:
    """The tags of a picture with those of its metadata; given tags take precedence.

    `taken` comes from EXIF, from XMP, or else from the file name, and `taken_from` says which. `place`, `region` and
    `country` are those of the coordinates.

    Args:
        given: The tags that the data set or the client gives.
        embedded: The metadata of the file.
        path: The path of the file, for its name; empty if it has none, and then the tag `filename` is its name.
        choice: Which metadata to use.
    """
    if choice == "none":
        return dict(given)
    tags = dict(embedded.tags)
    name = os.path.basename(path) or given.get("filename")
    if "taken" not in tags and isinstance(name, str) and (taken := time_in_name(name)):
        tags |= {"taken": taken, "taken_from": "filename"}
    if "taken" in given:
        tags.pop("taken_from", None)
    if choice == "all":
        tags |= _location(given, embedded)
    return {**tags, **given}


def _location(given: Mapping[str, Any], embedded: Embedded) -> dict[str, Any]:
    """The location tags; given coordinates replace those of the file, and the place follows from them."""
    is_given = "latitude" in given or "longitude" in given
    location = {} if is_given else dict(embedded.location)
    coordinates = given if is_given else location
    latitude, longitude = coordinates.get("latitude"), coordinates.get("longitude")
    if isinstance(latitude, int | float) and isinstance(longitude, int | float):
        place = places.nearest(latitude, longitude)
        names = {} if place is None else {"place": place.name, "region": place.region, "country": place.country}
        location |= {tag: name for tag, name in names.items() if name}
    return location
