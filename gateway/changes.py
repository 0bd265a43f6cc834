"""Routes that take documents away and change them; served by the Flow that writes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from crossmodal.core.errors import InputError
from crossmodal.store.where import parse
from executors.docs import MediaDoc
from gateway.calls import FlowCalls


class Deletion(BaseModel):
    """What is to go: documents by id, or all that a condition is true of."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"ids": ["8f14e45f"]}, {"where": "tags.year < 2000"}]}
    )
    ids: list[str] = Field(default_factory=list, description="ids; a picture takes its captions with it")
    where: str | None = Field(None, description="a condition, see docs/storage-format.md")


class Change(BaseModel):
    """New tags of a document."""

    model_config = ConfigDict(extra="forbid")
    id: str
    tags: dict[str, Any] = Field(description="a merge patch (RFC 7396): null takes a tag away")


class Changes(BaseModel):
    """Changes of several documents, made all at once."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"data": [{"id": "8f", "tags": {"a": 1}}]}]}
    )
    data: list[Change] = Field(min_length=1)


def add_change_routes(app: FastAPI, flow: FlowCalls) -> None:
    """POST /delete, DELETE /documents/{id} and POST /update."""

    @app.post("/delete", summary="Remove documents")
    async def delete(body: Deletion) -> dict[str, Any]:
        if bool(body.ids) == (body.where is not None):
            raise InputError("give either `ids` or `where`")
        if body.where is not None:
            parse(body.where)
        return _told(await _delete(flow, body.ids, body.where))

    @app.delete("/documents/{document_id}", summary="Remove a document, a picture with its captions")
    async def delete_one(document_id: str) -> JSONResponse:
        told = _told(await _delete(flow, [document_id], None))
        if told["unknown"]:
            return JSONResponse({"detail": f"no document {document_id}"}, status_code=404)
        return JSONResponse(told)

    @app.post("/update", summary="Change the tags of documents")
    async def update(body: Changes) -> dict[str, Any]:
        docs = [MediaDoc(id=change.id, tags=change.tags) for change in body.data]
        answered = await flow.answers(docs, "/update", {}, request_size=len(docs))
        unknown = [doc.id for doc in answered if doc.outcome != "updated"]
        return {"updated": len(answered) - len(unknown), "unknown": unknown}


async def _delete(flow: FlowCalls, ids: list[str], where: str | None) -> list[MediaDoc]:
    docs = [MediaDoc(id=own) for own in dict.fromkeys(ids)] or [MediaDoc(id="where")]
    return await flow.answers(docs, "/delete", {"where": where or ""}, request_size=len(docs))


def _told(answered: list[MediaDoc]) -> dict[str, Any]:
    removed = [doc for doc in answered if doc.outcome == "removed"]
    n_images = sum(doc.modality == "image" for doc in removed)
    unknown = [doc.id for doc in answered if doc.outcome == "unknown" and doc.id != "where"]
    return {"removed": {"images": n_images, "captions": len(removed) - n_images}, "unknown": unknown}
