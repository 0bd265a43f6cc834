"""What follows from where a picture lies: its path, its file name, its folder. It changes when the file moves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from crossmodal.core.types import DERIVED_TAGS, Document, ImageRecord


def follow(
    picture: Document,
    captions: Iterable[Document],
    places: Mapping[str, ImageRecord],
    contents: Mapping[str, str],
) -> Iterator[Document]:
    """The picture and those of its captions whose path, file name, folder or split is not the current one, corrected.

    Tags that do not follow from the place stay. So does a picture's path into another data set, while it is valid.

    Args:
        picture: As it is in the store.
        captions: Its captions in the store; those without a path came over the wire and stay as they are.
        places: The records of its files, by path, in the data set's order; at least one.
        contents: The id of the picture that each file of the data set holds now, by path.
    """
    path = picture.uri if picture.uri in places else next(iter(places))
    if not _is_elsewhere(picture.uri, picture.id, places, contents) and (corrected := _at(picture, path, places[path])):
        yield corrected
    told = {caption: place for place, record in reversed(list(places.items())) for caption in record.captions}
    for caption in captions:
        if not _is_elsewhere(caption.uri, picture.id, places, contents):
            place = caption.uri if caption.uri in places else told.get(caption.text, path)
            if corrected := _at(caption, place, places[place]):
                yield corrected


def _is_elsewhere(uri: str, picture: str, places: Mapping[str, ImageRecord], contents: Mapping[str, str]) -> bool:
    """Whether a stored path is outside the data set, and something is there; or there is no path."""
    if uri in places:
        return False
    if uri in contents:
        return contents[uri] == picture
    return not uri or os.path.lexists(uri)


def _at(document: Document, path: str, record: ImageRecord) -> Document | None:
    kept = {name: value for name, value in document.tags.items() if name not in DERIVED_TAGS}
    tags = {**kept, **record.tags}
    return None if (document.uri, document.tags) == (path, tags) else replace(document, uri=path, tags=tags)
