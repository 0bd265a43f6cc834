"""Hydration: reads the pictures of a page of matches from the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossmodal.core.types import Document
from crossmodal.store.protocol import Store


@dataclass(frozen=True)
class Picture:
    """The picture of a match: the matched picture itself, or the picture of the matched caption.

    Attributes:
        id: Empty if the store does not have the picture.
        width: In pixels, 0 if unknown.
        height: In pixels, 0 if unknown.
        filename: Its file name, empty if unknown.
        captions: The texts of all its captions, in the order of their commits.
    """

    id: str = ""
    width: int = 0
    height: int = 0
    filename: str = ""
    captions: tuple[str, ...] = ()


def pictures_of(store: Store, documents: Sequence[Document]) -> list[Picture]:
    """The picture of each document, in order, by two queries of the store for any number of documents."""
    ids = [_picture_id(document) for document in documents]
    known = {document.id: document for document in documents if document.modality == "image"}
    known |= store.known({image_id for image_id in ids if image_id and image_id not in known})
    captions = store.caption_texts_of(set(ids))
    return [_picture(known.get(image_id), captions.get(image_id, ())) for image_id in ids]


def _picture_id(document: Document) -> str:
    return document.id if document.modality == "image" else document.image_id


def _picture(document: Document | None, captions: Sequence[str]) -> Picture:
    if document is None:
        return Picture(captions=tuple(captions))
    filename = str(document.tags.get("filename") or "")
    return Picture(document.id, document.width, document.height, filename, tuple(captions))
