"""The HTTP application: routes, and errors to status codes."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from jina.excepts import InternalNetworkError
from jina.serve.runtimes.gateway.streamer import GatewayStreamer
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from crossmodal import __version__
from crossmodal.collection.collection import Collection
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import InputError, PictureError, StateError
from crossmodal.core.settings import OtherService
from crossmodal.core.types import Document, image_id
from crossmodal.images.decode import MIME_TYPES
from crossmodal.images.fetch import FetchRules
from crossmodal.images.sources import from_file
from crossmodal.store.sqlite import DocumentStore
from executors.schema import MediaDoc, to_array
from serving.http import legacy
from serving.http.api import GREY_PNG, Legacy, add_api_routes, add_counting
from serving.http.documents import add_change_routes, add_refusals
from serving.http.errors import PROBLEM, PROBLEMS, ProblemRoute, RefusedError, problem_of
from serving.http.metrics import MeteredCalls, Metrics
from serving.http.pages import add_page
from serving.http.url_pictures import Own, UrlPictures
from serving.jina.batching import BatchedCalls
from serving.jina.flow_calls import FlowCalls
from serving.jina.websocket import add_websocket
from serving.middleware.access_policy import LEGACY_PATHS, AccessPolicy
from serving.middleware.problem import problem_json

log = logging.getLogger(__name__)

HEALTH_TIMEOUT_S = 10.0
SERVED_TYPES = frozenset(MIME_TYPES.values())
LEGACY_FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "model": legacy.Failure}
    for status, description in (
        (400, "No JSON"),
        (422, "What is sent makes no sense; `status.description` says why"),
        (503, "A part of the service does not answer"),
    )
}


@dataclass(frozen=True)
class ServiceConfig:
    """What a service does.

    `endpoint` is what its Flow is for, `/search` or `/index`; `writable` is whether the Flow ends in a writer;
    `fetch_rules` say which URLs are fetched, None for none; `others` are the services the page leads to.
    """

    endpoint: str = "/search"
    writable: bool = False
    fetch_rules: FetchRules | None = None
    others: tuple[OtherService, ...] = ()

    @property
    def endpoints(self) -> set[str]:
        """Those of the Flow that a client may ask for."""
        reads = {"/search"} if self.endpoint == "/search" else {"/snapshot"}
        writes = {"/index", "/update", "/delete"} if self.writable else set()
        return {"/encode", "/health"} | reads | writes


def make_app(streamer: GatewayStreamer, collection: Collection, config: ServiceConfig, access: AccessPolicy) -> FastAPI:
    """The application of a Flow.

    Args:
        streamer: Jina's way into the Flow.
        collection: What it serves; its store is read for pictures and thumbnails.
        config: What this service does.
        access: Who is let in.
    """
    app = FastAPIOffline(
        title="Cross-modal search",
        version=__version__,
        description="Find pictures with words, captions with a picture, pictures with a picture.",
        redoc_url=None,
    )
    access.put_up(app)
    _add_errors(app)
    metrics = Metrics()
    flow = BatchedCalls(MeteredCalls(streamer, metrics))
    opened = GenerationCache(str(collection.root), _Opened, lambda held: held.store.close())
    urls = UrlPictures(config.fetch_rules, lambda request: own_pictures(request, opened.current()[1].store))
    legacy_search = _add_data_routes(app, flow, urls, config)
    add_api_routes(app, flow, opened, metrics, urls, legacy_search, config.others)
    if config.writable:
        add_change_routes(app, flow)
    else:
        add_refusals(app)
    _add_health_routes(app, flow, opened, config)
    _add_picture_routes(app, opened)
    if not access.asks:
        add_websocket(app, streamer, config.endpoints)
    add_page(app)
    add_counting(app, metrics)
    return app


class _Opened:
    """A generation of the collection, its store, and what is known of its words, where it has any."""

    def __init__(self, collection: Collection) -> None:
        self.collection, self.store = collection, collection.store()
        self.words = None
        if collection.model.base:
            from serving.http.known_words import Words  # what reads words is of no use, and no small thing, elsewhere

            self.words = Words(collection.model, self.store)


def _add_data_routes(app: FastAPI, flow: FlowCalls, urls: UrlPictures, config: ServiceConfig) -> Legacy | None:
    """POST /index, and what answers the legacy shapes of POST /search, which shares its path with the typed API."""

    async def process(body: legacy.Request, request: Request) -> Response:
        base_url = str(request.base_url).rstrip("/")
        root = request.url.path.strip("/")
        items = body.items()
        async with urls.fetched(request, (item.uri for item in items if item.modality != "text")) as fetched:
            docs = legacy.to_docs(items, for_index=root == "index", fetched=fetched)
            docs = await flow(docs, f"/{root}", body.options())
        if root == "search":
            docs = [doc.copy(update={"id": item.id or doc.id}) for item, doc in zip(items, docs, strict=True)]
        failed = [(place, doc.error) for place, doc in enumerate(docs) if doc.error]
        # A search for several things is answered whole or not at all; indexing goes on without the bad ones.
        if failed and (root == "search" or len(failed) == len(docs)):
            raise InputError("; ".join(f"data[{place}]: {reason}" for place, reason in failed))
        from_page = "origin" in request.headers  # every browser sends it with a POST
        told = legacy.answer(body, items, docs, base_url, root, from_page=from_page)
        return Response(to_json(told, inf_nan_mode="null"), media_type="application/json")

    if config.writable:
        app.post("/index", summary="Take documents in", responses={200: {"model": legacy.Answer}, **LEGACY_FAILURES})(
            process
        )
    if config.endpoint == "/search":
        return process

    @app.post("/search", summary="Not served by this Flow", status_code=405, responses=LEGACY_FAILURES)
    async def refuse() -> JSONResponse:
        message = "this service does /index only: start `python app.py -t query_restful` for /search"
        return JSONResponse(legacy.failure(message, "search"), status_code=405)

    return None


def own_pictures(request: Request, store: DocumentStore) -> Own:
    """Reads pictures by their address at this service, which Jina Box sends when somebody clicks on a result.

    What it returns raises PictureError where there is no such picture, or its file is not what it was.
    """
    base_url = str(request.base_url).rstrip("/")

    def own(url: str) -> bytes | None:
        name = legacy.own_picture(url, base_url)
        try:
            return _content_of(store, name)[1] if name else None
        except RefusedError as error:
            raise PictureError(str(error)) from error

    return own


def _add_health_routes(app: FastAPI, flow: FlowCalls, opened: GenerationCache[_Opened], config: ServiceConfig) -> None:
    picture = to_array(GREY_PNG)

    ill = {503: {"description": "A part does not answer", "content": {"application/json": {}}}}

    @app.get("/healthz", summary="Whether every Executor answers", responses=ill)
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
            "serves": config.endpoint,
            "writable": config.writable,
            "fetches_urls": config.fetch_rules is not None,
            "collection": now.collection.root.name,
            "model": now.collection.model.to_dict(),
            "images": counts["image"],
            "captions": counts["text"],
        }


def _add_picture_routes(app: FastAPI, opened: GenerationCache[_Opened]) -> None:
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
        "Cache-Control": "public, max-age=31536000, immutable",
    }

    gone = {410: {"description": "Its file is gone or has changed", "content": PROBLEM}}
    shown = {200: {"description": "The picture", "content": {kind: {} for kind in sorted(SERVED_TYPES)}}}
    router = APIRouter(route_class=ProblemRoute)

    @router.get(
        "/images/{picture_id}",
        summary="A picture as it was taken in",
        response_class=Response,
        responses={**PROBLEMS, **gone, **shown},
    )
    def image(picture_id: str) -> Response:
        document, content = _content_of(opened.current()[1].store, picture_id)
        return Response(content, media_type=document.mime_type, headers=headers)

    jpeg_shown = {200: {"description": "The picture, small", "content": {"image/jpeg": {}}}}

    @router.get(
        "/thumbnails/{picture_id}",
        summary="A picture, small, as JPEG",
        response_class=Response,
        responses={**PROBLEMS, **jpeg_shown},
    )
    def thumbnail(picture_id: str) -> Response:
        jpeg = opened.current()[1].store.thumbnail(picture_id)
        if jpeg is None:
            raise RefusedError(404, f"no picture {picture_id[:80]}")
        return Response(jpeg, media_type="image/jpeg", headers=headers)

    app.include_router(router)


def _content_of(store: DocumentStore, picture_id: str) -> tuple[Document, bytes]:
    """A picture as it was taken in.

    Raises:
        RefusedError: There is none (404), or its file is gone or has changed (410).
    """
    document = store.document(picture_id)
    if document is None or document.modality != "image":
        raise RefusedError(404, f"no picture {picture_id[:80]}")
    if document.mime_type not in SERVED_TYPES:
        raise RefusedError(404, f"picture {picture_id} is of no type that is served")
    content = store.content(picture_id)
    if content is None:
        try:
            content = from_file(Path(document.uri))
        except PictureError as error:
            raise RefusedError(410, f"the file of picture {picture_id} {error}") from error
        if image_id(content) != picture_id:
            raise RefusedError(410, f"the file of picture {picture_id} has changed: index it again")
    return document, content


def _add_errors(app: FastAPI) -> None:
    def fail(request: Request, status_code: int, description: str) -> JSONResponse:
        return JSONResponse(legacy.failure(description, legacy.root_of(request.url.path)), status_code=status_code)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        told = [f"{'.'.join(str(p) for p in e['loc'][1:]) or 'body'}: {e['msg']}" for e in error.errors()[:5]]
        malformed = any(e["type"] == "json_invalid" for e in error.errors())
        return fail(request, 400 if malformed else 422, "; ".join(told))

    @app.exception_handler(HTTPException)
    async def not_here(request: Request, error: HTTPException) -> Response:
        problem = problem_of(error)
        is_old = request.url.path in LEGACY_PATHS
        told = fail(request, problem.status, problem.detail) if is_old else problem_json(request.scope, problem)
        told.headers.update(problem.headers)
        return told

    async def refused(request: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error)
        return fail(request, problem.status, problem.detail)

    for kind in (InputError, StateError, InternalNetworkError):
        app.add_exception_handler(kind, refused)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", exc_info=error)
        return fail(request, 500, f"unexpected error ({type(error).__name__}); the service's log has the details")


def _reason(error: Exception) -> str:
    if isinstance(error, InternalNetworkError):
        return problem_of(error).detail
    if isinstance(error, TimeoutError):
        return f"no answer within {HEALTH_TIMEOUT_S:.0f} s"
    return str(error)
