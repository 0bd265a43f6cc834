"""Commits encoded documents to the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crossmodal.core.types import Document, caption_id
from crossmodal.store.protocol import Outcome, Store
from crossmodal.store.records import NewDocument


def commit(store: Store, items: Sequence[NewDocument]) -> list[tuple[Document, Outcome]]:
    """The documents as they are stored, each with its outcome, after one transaction.

    The id of a caption follows from its text and its picture; its type and size are those of a text, whatever a client
    sent.

    Raises:
        StateError, InputError: As `Store.put`.
    """
    stored = [replace(item, document=_as_stored(item.document)) for item in items]
    outcomes = store.put(stored)
    return [(item.document, outcome) for item, outcome in zip(stored, outcomes, strict=True)]


def _as_stored(document: Document) -> Document:
    if document.modality == "image":
        return document
    key = caption_id(document.text, document.image_id)
    return replace(document, id=key, mime_type="text/plain", width=0, height=0)
