"""POST /index, and the legacy shapes of POST /search, which shares its path with the typed API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from crossmodal.core.errors import InputError
from executors.schema import MediaDoc
from serving.http import legacy
from serving.http.conditions import check_condition
from serving.http.own_url import own_url
from serving.http.url_pictures import UrlPictures
from serving.jina.flow_calls import FlowCalls

FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "model": legacy.Failure}
    for status, description in (
        (400, "The body is not JSON"),
        (422, "The request is not valid; `status.description` says why"),
        (503, "A part of the service does not answer"),
    )
}


class LegacyRoutes:
    """Answers requests in the shapes of `serving.http.legacy`.

    Args:
        flow: Calls the Flow.
        urls: Fetches pictures given by URL.
        last_seq: Returns the sequence number of the newest commit.
    """

    def __init__(self, flow: FlowCalls, urls: UrlPictures, last_seq: Callable[[], int]) -> None:
        self._flow = flow
        self._urls = urls
        self._last_seq = last_seq

    def add_index(self, app: FastAPI) -> None:
        """Adds POST /index."""
        responses: dict[int | str, dict[str, Any]] = {200: {"model": legacy.Answer}, **FAILURES}
        app.post("/index", summary="Index documents", responses=responses)(self._index)

    def refuse_search(self, app: FastAPI) -> None:
        """Adds the POST /search of a service that does not search."""

        @app.post("/search", summary="Not served by this Flow", status_code=405, responses=FAILURES)
        async def refuse() -> JSONResponse:
            message = "this service does /index only: start one for searching (`serve`, in app.py `-t query_restful`)"
            return JSONResponse(legacy.failure(message, "search"), status_code=405)

    async def search(self, body: legacy.Request, request: Request) -> Response:
        """The answer to a search. A request with several queries succeeds or fails as a whole.

        Raises:
            InputError: A query failed; the message has its index.
        """
        items = body.items()
        docs = await self._call_flow(items, body, request, "search")
        docs = [doc.copy(update={"id": item.id}) if item.id else doc for item, doc in zip(items, docs, strict=True)]
        if failures := _failures(docs):
            raise InputError(failures)
        return _response(body, items, docs, request, "search")

    async def _index(self, body: legacy.Request, request: Request) -> Response:
        items = body.items()
        docs = await self._call_flow(items, body, request, "index")
        if all(doc.error for doc in docs):  # otherwise each document has its own outcome
            raise InputError(_failures(docs))
        return _response(body, items, docs, request, "index", await run_in_threadpool(self._last_seq))

    async def _call_flow(
        self, items: list[legacy.Item], body: legacy.Request, request: Request, root: Literal["search", "index"]
    ) -> list[MediaDoc]:
        async with self._urls.fetched(request, (item.uri for item in items if item.modality != "text")) as fetched:
            check_condition(request, body.options.get("where", ""))
            docs = legacy.to_docs(items, for_index=root == "index", fetched=fetched)
            return await self._flow(docs, f"/{root}", body.options)


def _failures(docs: list[MediaDoc]) -> str:
    return "; ".join(f"data[{i}]: {doc.error}" for i, doc in enumerate(docs) if doc.error)


def _response(
    body: legacy.Request,
    items: list[legacy.Item],
    docs: list[MediaDoc],
    request: Request,
    root: str,
    seq: int | None = None,
) -> Response:
    from_page = "origin" in request.headers  # browsers send it with every POST
    answer = legacy.answer(body, items, docs, own_url(request), root, from_page=from_page, seq=seq)
    return Response(to_json(answer, inf_nan_mode="null"), media_type="application/json")
