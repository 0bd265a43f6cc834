"""Routes that remove and change documents; a read-only service refuses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from crossmodal.core.errors import InputError
from crossmodal.store.where import parse
from executors.schema import MediaDoc
from serving.filter_fields import Where
from serving.http import legacy
from serving.http.conditions import check_condition
from serving.http.errors import PROBLEM, PROBLEMS, ProblemRoute, RefusedError
from serving.jina.flow_calls import FlowCalls
from serving.middleware.problem import Problem, problem_json

READ_ONLY = (
    "this service only reads: start it with --writable, or one for indexing "
    "(`serve-index`, in app.py `-t index_restful`) beside it on another --port"
)


class Deletion(BaseModel):
    """The documents to remove: those with the given ids, or all that meet a condition."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"ids": ["8f14e45f"]}, {"where": "tags.year < 2000"}]}
    )
    ids: list[str] = Field(default_factory=list, description="ids; the captions of a picture are removed with it")
    where: Where = None


class Change(BaseModel):
    """New tags of a document."""

    model_config = ConfigDict(extra="forbid")
    id: str
    tags: dict[str, Any] = Field(description="a merge patch (RFC 7396): null removes a tag")


class Removed(BaseModel):
    """The numbers of removed documents; the captions of a picture are removed with it."""

    images: int
    captions: int


class DeletionAnswer(BaseModel):
    """The outcome of a deletion; `unknown` has the ids that were not found."""

    removed: Removed
    unknown: list[str]
    seq: int = Field(description="give it as `after_seq` to a search, on any node, that must see this change")


class UpdateAnswer(BaseModel):
    """The outcome of changes; `unknown` has the ids that were not found."""

    updated: int
    unknown: list[str]


class Changes(BaseModel):
    """Changes of several documents, made in one transaction."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"data": [{"id": "8f", "tags": {"a": 1}}]}]}
    )
    data: list[Change] = Field(min_length=1)


def add_change_routes(app: FastAPI, flow: FlowCalls, last_seq: Callable[[], int]) -> None:
    """Adds POST /delete, DELETE /documents/{id} and POST /update.

    Args:
        app: The application.
        flow: Calls the Flow.
        last_seq: Returns the sequence number of the newest commit.
    """
    router = APIRouter(route_class=ProblemRoute)

    @router.post("/delete", summary="Remove documents", responses=PROBLEMS)
    async def delete(body: Deletion, request: Request) -> DeletionAnswer:
        if bool(body.ids) == (body.where is not None):
            raise InputError("give either `ids` or `where`")
        if body.where is not None:
            parse(body.where)
            check_condition(request, body.where)
        return _answer(await _delete(flow, body.ids, body.where), body.ids, await run_in_threadpool(last_seq))

    @router.delete(
        "/documents/{document_id}", summary="Remove a document, a picture with its captions", responses=PROBLEMS
    )
    async def delete_one(document_id: str) -> DeletionAnswer:
        answer = _answer(await _delete(flow, [document_id], None), [document_id], await run_in_threadpool(last_seq))
        if answer.unknown:
            raise RefusedError(404, f"no document {document_id[:80]}")
        return answer

    @router.post("/update", summary="Change the tags of documents", responses=PROBLEMS)
    async def update(body: Changes) -> UpdateAnswer:
        docs = [MediaDoc(id=change.id, tags=change.tags) for change in body.data]
        answered = await flow.answers(docs, "/update", {})
        unknown = [doc.id for doc in answered if doc.outcome != "updated"]
        return UpdateAnswer(updated=len(answered) - len(unknown), unknown=unknown)

    app.include_router(router)


def add_refusals(app: FastAPI, why: str = READ_ONLY) -> None:
    """Adds the same routes and POST /index to a service that only reads; they answer 403 and name the way to write."""
    responses: dict[int | str, dict[str, Any]] = {403: {"description": why, "content": PROBLEM}}

    async def refuse(request: Request) -> Response:
        if b'"data"' in await request.body():  # a legacy client, which reads the error from `status`
            return JSONResponse(legacy.failure(why, request.url.path.strip("/")), 403)
        return problem_json(request.scope, Problem(403, why))

    for method, path in (
        ("POST", "/index"), ("POST", "/update"), ("POST", "/delete"), ("DELETE", "/documents/{document_id}"),
    ):  # fmt: skip
        app.add_api_route(
            path,
            refuse,
            methods=[method],
            status_code=403,
            responses=responses,
            summary="Refused: the service is read-only",
        )


async def _delete(flow: FlowCalls, ids: list[str], where: str | None) -> list[MediaDoc]:
    docs = [MediaDoc(id=document_id) for document_id in dict.fromkeys(ids)] or [MediaDoc(id="where")]
    return await flow.answers(docs, "/delete", {"where": where or ""})


def _answer(answered: list[MediaDoc], ids: list[str], seq: int) -> DeletionAnswer:
    removed = [doc for doc in answered if doc.outcome == "removed"]
    n_images = sum(doc.modality == "image" for doc in removed)
    asked = set(ids)
    unknown = [doc.id for doc in answered if doc.outcome == "unknown" and doc.id in asked]
    return DeletionAnswer(removed=Removed(images=n_images, captions=len(removed) - n_images), unknown=unknown, seq=seq)
