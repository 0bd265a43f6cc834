"""The pictures to save, and the encoded bytes of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from crossmodal.core.types import Document
from crossmodal.images.sources import of_document
from crossmodal.store.protocol import Store

MOST = 10_000
"""Most pictures that are saved at once."""


@dataclass(frozen=True)
class Chosen:
    """A picture and its captions."""

    document: Document
    captions: tuple[str, ...] = ()

    @property
    def filename(self) -> str:
        """The name of its file, or its id if it has none."""
        return self.text("filename") or self.document.id

    def text(self, tag: str) -> str:
        """A tag that is a text; empty if there is none."""
        value = self.document.tags.get(tag)
        return value if isinstance(value, str) else ""


def chosen(store: Store, ids: Iterable[str], hidden: Iterable[str] = ()) -> tuple[list[Chosen], list[str]]:
    """The pictures with these ids, in their order and each once, and the ids of which there is no picture.

    Args:
        store: The store.
        ids: The ids of pictures.
        hidden: Tags to leave out.
    """
    wanted = list(dict.fromkeys(ids))
    known = {name: document for name, document in store.known(wanted).items() if document.modality == "image"}
    captions = store.caption_texts_of(known)
    left_out = set(hidden)
    found = [Chosen(_without(known[name], left_out), tuple(captions.get(name, ()))) for name in wanted if name in known]
    return found, [name for name in wanted if name not in known]


def _without(document: Document, names: set[str]) -> Document:
    if names.isdisjoint(document.tags):
        return document
    tags: dict[str, Any] = {name: value for name, value in document.tags.items() if name not in names}
    return Document(**{**vars(document), "tags": tags})


def original(store: Store, picture: Document) -> bytes:
    """The encoded bytes of a picture as it was indexed, from the store or from the first of its files that has it.

    Raises:
        PictureError: None has it; the message is about the file that was indexed.
    """
    if (content := store.content(picture.id)) is not None:
        return content
    return of_document(picture.id, [picture.uri, *store.files.paths_of(picture.id)])
