"""Updates the fields that depend on a picture's path when its file moves: path, file name, folder, split."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from crossmodal.core.types import DERIVED_TAGS, Document, ImageRecord


def follow(
    picture: Document,
    captions: Iterable[Document],
    places: Mapping[str, ImageRecord],
    picture_in: Callable[[str], str | None],
    is_gone: Callable[[str], bool],
) -> Iterator[Document]:
    """The documents whose path, file name, folder or split is outdated, corrected, the picture first.

    Other tags are unchanged, and so is a valid path to a file of another data set. A caption keeps a path that can't be
    checked: with the path of another file, it would count as missing there.

    Args:
        picture: The stored picture.
        captions: Its stored captions; those without a path come from a client and are unchanged.
        places: The records of its files by path, in the data set's order; at least one.
        picture_in: Returns the id of the picture that is now in a file of the data set, by path.
        is_gone: Whether a path certainly does not exist.
    """
    path = picture.uri if picture.uri in places else next(iter(places))
    if not _is_elsewhere(picture.uri, picture.id, places, picture_in, os.path.lexists) and (
        corrected := _at(picture, path, places[path])
    ):
        yield corrected
    place_of = {caption: place for place, record in reversed(list(places.items())) for caption in record.captions}
    for caption in captions:
        if not _is_elsewhere(caption.uri, picture.id, places, picture_in, lambda uri: not is_gone(uri)):
            place = caption.uri if caption.uri in places else place_of.get(caption.text, path)
            if corrected := _at(caption, place, places[place]):
                yield corrected


def _is_elsewhere(
    uri: str,
    picture: str,
    places: Mapping[str, ImageRecord],
    picture_in: Callable[[str], str | None],
    exists: Callable[[str], bool],
) -> bool:
    """Whether a stored path is empty, or exists outside the data set."""
    if uri in places:
        return False
    if (current := picture_in(uri)) is not None:
        return current == picture
    return not uri or exists(uri)


def _at(document: Document, path: str, record: ImageRecord) -> Document | None:
    others = {name: value for name, value in document.tags.items() if name not in DERIVED_TAGS}
    tags = {**others, **record.tags}
    return None if (document.uri, document.tags) == (path, tags) else replace(document, uri=path, tags=tags)
