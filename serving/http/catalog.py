"""Routes that describe a service: its collection, its model, and single documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.settings import OtherService
from crossmodal.core.types import Document
from serving.http.errors import PROBLEMS, RefusedError
from serving.http.readings import reading_of
from serving.http.schemas import Caption, StoredDocument
from serving.http.search import Opened

N_EXAMPLES = 3


class CollectionInfo(BaseModel):
    """A collection that is served."""

    name: str
    model: str
    dim: int
    images: int
    captions: int
    generation: str
    examples: list[str] = Field(description="some of its captions, as example queries")
    fusion: str | None = Field(None, description="the default fusion of a sparse collection")


class OtherCollection(BaseModel):
    """A service of another collection."""

    name: str
    url: str


class CollectionsAnswer(BaseModel):
    """The collection that is served, and the services of other collections that were configured."""

    collections: list[CollectionInfo]
    elsewhere: list[OtherCollection]


class ModelInfo(BaseModel):
    """A model that is served."""

    name: str
    family: str
    weights: str
    weights_hash: str
    dim: int
    size_px: int
    modalities: list[Literal["image", "text"]]


class ModelsAnswer(BaseModel):
    """The models that are served."""

    models: list[ModelInfo]


def add_catalog(router: APIRouter, opened: GenerationCache[Any], others: Sequence[OtherService]) -> None:
    """Adds GET /documents/{id}, GET /collections and GET /models; `others` are services of other collections."""

    @router.get("/documents/{document_id}", summary="A document with its captions", responses=PROBLEMS)
    def document(document_id: str) -> StoredDocument:
        now = opened.current()[1]
        stored = now.store.document(document_id)
        if stored is None:
            raise RefusedError(404, f"no document {document_id[:80]}")
        if stored.modality != "image":
            return _stored(stored, [])
        answer = _stored(stored, now.store.captions_of([stored.id]).get(stored.id, []))
        answer.words = now.words.of_picture(stored.id) if now.words else None
        answer.reading = reading_of(now.store, stored.id)
        return answer

    elsewhere = [OtherCollection(name=other.name, url=other.url) for other in others]

    @router.get("/collections", summary="The collection that is served, and services of other collections")
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


def _stored(document: Document, captions: list[Document]) -> StoredDocument:
    picture = document.id if document.modality == "image" else document.image_id
    return StoredDocument(
        id=document.id,
        modality=document.modality,
        text=document.text,
        mime_type=document.mime_type,
        width=document.width,
        height=document.height,
        image_id=document.image_id,
        image=f"/images/{picture}" if picture else None,
        thumbnail=f"/thumbnails/{picture}" if picture else None,
        filename=str(document.tags.get("filename") or ""),
        tags=document.tags,
        captions=[Caption(id=caption.id, text=caption.text, tags=caption.tags) for caption in captions],
    )


def _collection_info(generation: str, now: Opened) -> CollectionInfo:
    counts = now.store.counts()
    firsts = [new.document for _, new in now.store.everything(0, N_EXAMPLES)]
    captions = now.store.caption_texts_of([picture.id for picture in firsts])
    return CollectionInfo(
        name=now.collection.root.name,
        model=str(now.collection.model),
        dim=now.collection.model.dim,
        images=counts["image"],
        captions=counts["text"],
        generation=generation or "first",
        examples=[min(captions[picture.id], key=len) for picture in firsts if picture.id in captions],
        fusion=now.words.fusion if now.words else None,
    )
