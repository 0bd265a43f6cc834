"""What a service has: its collection, its model, and single documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.settings import OtherService
from crossmodal.core.types import Document
from serving.http.errors import PROBLEMS, RefusedError
from serving.http.schemas import (
    Caption,
    CollectionInfo,
    CollectionsAnswer,
    ModelInfo,
    ModelsAnswer,
    OtherCollection,
    StoredDocument,
)
from serving.http.search import Opened

N_EXAMPLES = 3


def add_catalog(router: APIRouter, opened: GenerationCache[Any], others: Sequence[OtherService]) -> None:
    """Adds GET /documents/{id}, GET /collections and GET /models; `others` are services of other collections."""

    @router.get("/documents/{document_id}", summary="A document with its captions", responses=PROBLEMS)
    def document(document_id: str) -> StoredDocument:
        now = opened.current()[1]
        found = now.store.document(document_id)
        if found is None:
            raise RefusedError(404, f"no document {document_id[:80]}")
        if found.modality != "image":
            return _stored(found, [])
        answer = _stored(found, now.store.captions_of(found.id))
        answer.words = now.words.of_picture(found.id) if now.words else None
        return answer

    elsewhere = [OtherCollection(name=other.name, url=other.url) for other in others]

    @router.get("/collections", summary="The collection that is served, and services of others")
    def collections() -> CollectionsAnswer:
        generation, now = opened.current()
        return CollectionsAnswer(collections=[_collection_info(generation, now)], elsewhere=elsewhere)

    @router.get("/models", summary="The model that is served")
    def models() -> ModelsAnswer:
        model = opened.current()[1].collection.model
        info = ModelInfo(
            name=str(model),
            family=model.family,
            weights=model.weights,
            weights_hash=model.weights_hash,
            dim=model.dim,
            size_px=model.preprocessing.size_px,
            modalities=list(model.modalities),
        )
        return ModelsAnswer(models=[info])


def _stored(found: Document, captions: list[Document]) -> StoredDocument:
    picture = found.id if found.modality == "image" else found.image_id
    return StoredDocument(
        id=found.id,
        modality=found.modality,
        text=found.text,
        mime_type=found.mime_type,
        width=found.width,
        height=found.height,
        image_id=found.image_id,
        image=f"/images/{picture}" if picture else None,
        thumbnail=f"/thumbnails/{picture}" if picture else None,
        filename=str(found.tags.get("filename") or ""),
        tags=found.tags,
        captions=[Caption(id=caption.id, text=caption.text, tags=caption.tags) for caption in captions],
    )


def _collection_info(generation: str, now: Opened) -> CollectionInfo:
    counts = now.store.counts()
    firsts = [new.document for _, new in now.store.everything(0, N_EXAMPLES)]
    captions = [[caption.text for caption in now.store.captions_of(picture.id)] for picture in firsts]
    return CollectionInfo(
        name=now.collection.root.name,
        model=str(now.collection.model),
        dim=now.collection.model.dim,
        images=counts["image"],
        captions=counts["text"],
        generation=generation or "first",
        examples=[min(texts, key=len) for texts in captions if texts],
        fusion=now.words.fusion if now.words else None,
    )
