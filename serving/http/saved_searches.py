"""Searches with a name: GET /searches, PUT and DELETE /searches/{name}."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import InputError
from crossmodal.images.sources import is_data_uri
from crossmodal.store.saved_searches import MAX_NAME, checked_name
from crossmodal.store.where import parse
from executors.schema import MediaDoc
from serving.http.conditions import check_condition
from serving.http.documents import READ_ONLY
from serving.http.errors import PROBLEM, PROBLEMS, ProblemRoute, RefusedError
from serving.http.schemas import SearchRequest
from serving.http.search import condition_of
from serving.jina.flow_calls import FlowCalls
from serving.middleware.private_location import hides_location, names_location


class SearchToSave(BaseModel):
    """A search, as a program and as the page asks for it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"request": {"text": "hearts -red"}, "address": "/?q=hearts&not=red"}]},
    )
    request: SearchRequest = Field(description="the body of `POST /search`; only filters: the pictures they leave")
    address: str = Field("", max_length=20_000, description="path and query of the page that shows it, if it has one")


class SavedSearch(BaseModel):
    """A search with its name."""

    name: str
    request: dict[str, Any] = Field(description="the body of `POST /search`")
    address: str


class SearchesAnswer(BaseModel):
    """The saved searches by name; `writable` tells whether this service saves further ones."""

    searches: list[SavedSearch]
    writable: bool


def add_saved_searches(app: FastAPI, opened: GenerationCache[Any], flow: FlowCalls, *, writable: bool) -> None:
    """Adds the routes; a service that is not `writable` refuses to save and to remove."""
    router = APIRouter(route_class=ProblemRoute)
    refusals: dict[int | str, dict[str, Any]] = {
        **PROBLEMS,
        403: {"description": "The service is read-only", "content": PROBLEM},
    }

    @router.get("/searches", summary="Saved searches")
    def searches(request: Request) -> SearchesAnswer:
        """All of them; those that depend on hidden locations are left out."""
        known = [_saved(name, query) for name, query in opened.current()[1].store.searches.all().items()]
        if hides_location(request.scope):
            known = [search for search in known if not _names_location(search.request)]
        return SearchesAnswer(searches=known, writable=writable)

    @router.put("/searches/{name:path}", summary="Save a search under a name", responses=refusals)
    async def save(name: str, body: SearchToSave, request: Request) -> SavedSearch:
        """A search that has the name is replaced."""
        _check_writable(writable)
        checked_name(name)
        given = (body.request.image or "", *body.request.likes, *body.request.unlikes)
        if any(map(is_data_uri, given)):
            raise InputError("a picture itself can't be saved, only its URL, or the id of a picture of the collection")
        check_condition(request, await run_in_threadpool(condition_of, body.request, None))
        query = {"request": body.request.model_dump(exclude_unset=True), "address": body.address}
        await flow.answers([MediaDoc(id=name, text=json.dumps(query))], "/searches", {})
        return _saved(name, query)

    @router.delete("/searches/{name:path}", summary="Remove a saved search", responses=refusals)
    async def remove(name: str) -> SavedSearch:
        """The answer has the search, so that it can be saved again."""
        _check_writable(writable)
        known = await run_in_threadpool(opened.current()[1].store.searches.all)
        (doc,) = await flow.answers([MediaDoc(id=name)], "/searches", {})
        if doc.outcome != "removed" or name not in known:
            raise RefusedError(404, f"no saved search {name[:MAX_NAME]!r}")
        return _saved(name, known[name])

    app.include_router(router)


def _check_writable(writable: bool) -> None:
    if not writable:
        raise RefusedError(403, READ_ONLY)


def _saved(name: str, query: dict[str, Any]) -> SavedSearch:
    return SavedSearch(name=name, request=query.get("request") or {}, address=str(query.get("address") or ""))


def _names_location(saved: dict[str, Any]) -> bool:
    """Whether a saved request depends on where pictures were taken, or can't be read."""
    try:
        where = condition_of(SearchRequest.model_validate(saved), None)
        return bool(where) and names_location(parse(where))
    except (ValidationError, InputError):
        return True
