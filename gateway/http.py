"""The HTTP application: routes, and errors to status codes."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from jina.excepts import InternalNetworkError
from jina.serve.runtimes.gateway.streamer import GatewayStreamer
from starlette.concurrency import run_in_threadpool

from crossmodal import __version__
from crossmodal.core.errors import InputError, PictureError, StateError
from crossmodal.core.types import Document, image_id
from crossmodal.images.sources import from_file, to_data_uri
from crossmodal.index.collection import Collection
from crossmodal.store.sqlite import DocumentStore
from executors.docs import MediaDoc, to_array
from executors.generations import Generations
from gateway import wire
from gateway.api import GREY_PNG, Legacy, add_api_routes, add_counting
from gateway.batching import BatchedCalls
from gateway.calls import FlowCalls
from gateway.changes import add_change_routes
from gateway.entrance import Entrance
from gateway.metrics import MeteredCalls, Metrics
from gateway.pages import add_page
from gateway.problems import RefusedError, problem_of

log = logging.getLogger(__name__)

HEALTH_TIMEOUT_S = 10.0


def make_app(streamer: GatewayStreamer, collection: Collection, endpoint: str, entrance: Entrance) -> FastAPI:
    """The application of a Flow.

    Args:
        streamer: Jina's way into the Flow.
        collection: What it serves; its store is read for pictures and thumbnails.
        endpoint: `/search` or `/index`, the one this Flow does.
        entrance: Who is let in.
    """
    app = FastAPIOffline(
        title="Cross-modal search",
        version=__version__,
        description="Find pictures with words, captions with a picture, pictures with a picture.",
        redoc_url=None,
    )
    entrance.put_up(app, endpoint.strip("/"))
    _add_errors(app, endpoint)
    metrics = Metrics()
    flow = BatchedCalls(MeteredCalls(streamer, metrics))
    opened = Generations(str(collection.root), _Opened, lambda held: held.store.close())
    legacy_search = _add_data_routes(app, flow, opened, endpoint)
    add_api_routes(app, flow, opened, metrics, legacy_search)
    if endpoint == "/index":
        add_change_routes(app, flow)
    _add_health_routes(app, flow, opened, endpoint)
    _add_picture_routes(app, opened)
    add_page(app)
    add_counting(app, metrics)
    return app


class _Opened:
    """A generation of the collection, and its store."""

    def __init__(self, collection: Collection) -> None:
        self.collection, self.store = collection, collection.store()


def _add_data_routes(app: FastAPI, flow: FlowCalls, opened: Generations[_Opened], endpoint: str) -> Legacy | None:
    """POST /index, or what answers the legacy shapes of POST /search, which shares its path with the typed API."""
    root = endpoint.strip("/")

    async def process(body: wire.Request, request: Request) -> JSONResponse:
        base_url = str(request.base_url).rstrip("/")
        sent = items = body.items()
        if root == "search" and any(wire.own_picture(item, base_url) for item in items):
            sent = await run_in_threadpool(_with_own_pictures, items, base_url, opened.current()[1].store)
        docs = await flow(wire.to_docs(sent, for_index=root == "index"), endpoint, body.options())
        if root == "search":
            docs = [doc.copy(update={"id": item.id or doc.id}) for item, doc in zip(items, docs, strict=True)]
        failed = [(place, doc.error) for place, doc in enumerate(docs) if doc.error]
        # A search for several things is answered whole or not at all; indexing goes on without the bad ones.
        if failed and (root == "search" or len(failed) == len(docs)):
            raise InputError("; ".join(f"data[{place}]: {reason}" for place, reason in failed))
        from_page = "origin" in request.headers  # every browser sends it with a POST
        return JSONResponse(wire.answer(body, items, docs, base_url, root, from_page=from_page))

    if endpoint == "/index":
        app.post("/index", summary="Take documents in")(process)
    other = {"/search": "/index", "/index": "/search"}[endpoint]
    start_other = {"/search": "query_restful", "/index": "index_restful"}[other]

    @app.post(other, summary="Not served by this Flow", include_in_schema=True)
    async def refuse() -> JSONResponse:
        message = f"this service does {endpoint} only: start `python app.py -t {start_other}` for {other}"
        return JSONResponse(wire.failure(message, other.strip("/")), status_code=405)

    return process if endpoint == "/search" else None


def _with_own_pictures(items: list[wire.Item], base_url: str, store: DocumentStore) -> list[wire.Item]:
    """The items, with the pictures themselves in the place of URLs of ours.

    Raises:
        InputError: There is no such picture, or its file is not what it was.
    """
    told = []
    for place, item in enumerate(items):
        name = wire.own_picture(item, base_url)
        if name:
            try:
                content = _content_of(store, name)[1]
            except RefusedError as error:
                raise InputError(f"data[{place}]: {error}") from error
            item = item.model_copy(update={"uri": to_data_uri(content)})
        told.append(item)
    return told


def _add_health_routes(app: FastAPI, flow: FlowCalls, opened: Generations[_Opened], endpoint: str) -> None:
    picture = to_array(GREY_PNG)

    @app.get("/healthz", summary="Whether every Executor answers")
    async def health() -> JSONResponse:
        docs = [
            MediaDoc(id="health-text", modality="text", text="health"),
            MediaDoc(id="health-image", modality="image", content=picture),
        ]
        try:
            answered = await asyncio.wait_for(flow(docs, "/health", {"top_k": 1}), HEALTH_TIMEOUT_S)
        except (TimeoutError, InternalNetworkError, StateError, RuntimeError) as error:
            return JSONResponse({"status": "unavailable", "reason": _reason(error)}, status_code=503)
        failed = [doc.error for doc in answered if doc.error]
        if failed:
            return JSONResponse({"status": "unavailable", "reason": "; ".join(failed)}, status_code=503)
        return JSONResponse({"status": "ok"})

    @app.get("/status", summary="What is served")
    def status() -> dict[str, Any]:
        _, now = opened.current()
        counts = now.store.counts()
        return {
            "version": __version__,
            "serves": endpoint,
            "collection": now.collection.root.name,
            "model": now.collection.model.to_dict(),
            "images": counts["image"],
            "captions": counts["text"],
        }


def _add_picture_routes(app: FastAPI, opened: Generations[_Opened]) -> None:
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
        "Cache-Control": "public, max-age=31536000, immutable",
    }

    @app.get("/images/{picture_id}", summary="A picture as it was taken in")
    def image(picture_id: str) -> Response:
        try:
            document, content = _content_of(opened.current()[1].store, picture_id)
        except RefusedError as error:
            return JSONResponse({"detail": str(error)}, status_code=error.problem.status)
        return Response(content, media_type=document.mime_type, headers=headers)

    @app.get("/thumbnails/{picture_id}", summary="A picture, small, as JPEG")
    def thumbnail(picture_id: str) -> Response:
        jpeg = opened.current()[1].store.thumbnail(picture_id)
        if jpeg is None:
            return JSONResponse({"detail": f"no picture {picture_id}"}, status_code=404)
        return Response(jpeg, media_type="image/jpeg", headers=headers)


def _content_of(store: DocumentStore, picture_id: str) -> tuple[Document, bytes]:
    """A picture as it was taken in.

    Raises:
        RefusedError: There is none (404), or its file is gone or has changed (410).
    """
    document = store.document(picture_id)
    if document is None or document.modality != "image":
        raise RefusedError(404, f"no picture {picture_id}")
    content = store.content(picture_id)
    if content is None:
        try:
            content = from_file(Path(document.uri))
        except PictureError as error:
            raise RefusedError(410, f"the file of picture {picture_id} {error}") from error
        if image_id(content) != picture_id:
            raise RefusedError(410, f"the file of picture {picture_id} has changed: index it again")
    return document, content


def _add_errors(app: FastAPI, endpoint: str) -> None:
    root = endpoint.strip("/")

    def fail(status_code: int, description: str) -> JSONResponse:
        return JSONResponse(wire.failure(description, root), status_code=status_code)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        told = [f"{'.'.join(str(p) for p in e['loc'][1:]) or 'body'}: {e['msg']}" for e in error.errors()[:5]]
        malformed = any(e["type"] == "json_invalid" for e in error.errors())
        return fail(400 if malformed else 422, "; ".join(told))

    async def refused(_: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error)
        return fail(problem.status, problem.detail)

    for kind in (InputError, StateError, InternalNetworkError):
        app.add_exception_handler(kind, refused)

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", exc_info=error)
        return fail(500, f"unexpected error ({type(error).__name__}); the service's log has the details")


def _reason(error: Exception) -> str:
    if isinstance(error, InternalNetworkError):
        return problem_of(error).detail
    if isinstance(error, TimeoutError):
        return f"no answer within {HEALTH_TIMEOUT_S:.0f} s"
    return str(error)
