"""The HTTP application of a front node: searches all slices, and passes other reading requests on to one of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.background import BackgroundTask

from crossmodal import __version__
from crossmodal.core.errors import InputError, StateError
from crossmodal.images.decode import MAX_BYTES
from crossmodal.images.sources import to_data_uri
from serving.config import ServiceConfig
from serving.front.merging import merged, pages_for
from serving.front.services import SliceServices, headers_of
from serving.http import legacy
from serving.http.application import new_application
from serving.http.documents import add_refusals
from serving.http.duplicates import OF_SLICES
from serving.http.errors import PROBLEMS, ProblemRoute, RefusedError, add_error_handlers, legacy_or_problem
from serving.http.metrics import CONTENT_TYPE, CountRequests, Metrics
from serving.http.openapi import search_body
from serving.http.own_url import forwarded
from serving.http.pages import add_page
from serving.http.schemas import ReadyAnswer, SearchAnswer, SearchRequest
from serving.http.search_routes import read_search
from serving.middleware.access_policy import add_access_policy

ONLY_READS = (
    "a front node only reads: send this to a node that was started with --writable, or to one for indexing "
    "(`serve-index`, in app.py `-t index_restful`)"
)
NO_EXPERIMENTS = "a front node has no experiments: try pictures at the address of a node"


def make_front(services: SliceServices, config: ServiceConfig) -> FastAPI:
    """Returns the application; it closes the services when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await services.close()

    app = new_application(has_keys=bool(config.keys), has_legacy=False, lifespan=lifespan)
    add_access_policy(app, config, legacy_or_problem)
    add_error_handlers(app)
    router = APIRouter(route_class=ProblemRoute)
    metrics = Metrics()
    _add_search(router, services, metrics)
    _add_checks(router, services, metrics)
    _add_refusals(router)
    app.include_router(router)
    add_refusals(app, ONLY_READS)
    add_page(app)
    _add_others(app, services)
    app.add_middleware(CountRequests, metrics=metrics)
    return app


def _add_search(router: APIRouter, services: SliceServices, metrics: Metrics) -> None:
    n_missing = 0
    metrics.watch("missing_slices", "Slices missing from the latest answer", lambda: float(n_missing))

    @router.post(
        "/search",
        summary="Find pictures and captions",
        response_model=SearchAnswer,
        responses=PROBLEMS,
        openapi_extra=search_body("SearchRequest"),
    )
    async def search(request: Request) -> Response:
        """Searches all slices; the answer has the slices that did not answer in `missing`."""
        nonlocal n_missing
        start = time.perf_counter()
        typed, picture = await read_search(request)
        if isinstance(typed, legacy.Request):
            raise InputError('a front node takes no `data`: search with {"text": ...}, or on a node with all documents')
        found = await services.search(_requests(typed, picture))
        if found.refusal is not None:
            return _same(found.refusal)
        missing = services.missing(found.answers, found.problems)
        n_missing = len(missing)
        if not found.answers:
            raise StateError("no slice answers: " + "; ".join(f"{url}: {why}" for url, why in found.problems.items()))
        answers = [found.answers[name] for name in services.names if name in found.answers]
        if len({(answer["collection"], answer["model"]) for answer in answers}) > 1:
            raise RefusedError(503, "the slices have different collections or models: try again after a reindex")
        body = merged(answers, typed.offset, typed.top_k, missing)
        body["took_ms"]["total"] = round((time.perf_counter() - start) * 1e3, 3)
        return JSONResponse(body)


def _requests(typed: SearchRequest, picture: bytes | None) -> list[dict[str, Any]]:
    """The requests for the pages of each slice.

    Raises:
        InputError: The picture is given twice, or larger than a node would read.
    """
    fields = typed.model_dump(exclude_unset=True)
    if picture is not None:
        if typed.image is not None:
            raise InputError("image: given twice, as a file and as a data URI")
        if len(picture) > MAX_BYTES:
            raise InputError(f"image: {len(picture):,} bytes; the limit is {MAX_BYTES:,}")
        fields["image"] = to_data_uri(picture)
    return [{**fields, "offset": offset, "top_k": top_k} for offset, top_k in pages_for(typed.offset, typed.top_k)]


def _same(response: httpx.Response) -> Response:
    return Response(response.content, response.status_code, media_type=response.headers.get("content-type"))


def _add_checks(router: APIRouter, services: SliceServices, metrics: Metrics) -> None:
    @router.get("/healthz", summary="Check that this process answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="Check that a slice answers", responses={503: PROBLEMS[503]})
    async def ready() -> ReadyAnswer:
        start = time.perf_counter()
        await services.states()
        return ReadyAnswer(status="ready", took_ms=round((time.perf_counter() - start) * 1e3, 3))

    @router.get("/status", summary="The collection, and the state of each slice", responses={503: PROBLEMS[503]})
    async def status() -> dict[str, Any]:
        states, problems = await services.states()
        slices = [
            {"url": url, "slice": states[url]["slice"], "seq": states[url]["seq"], "lag_s": states[url]["lag_s"]}
            if url in states
            else {"url": url, "problem": problems[url]}
            for url in services.urls
        ]
        missing = services.missing({one.get("slice", ""): one for one in slices}, problems)
        of_node = ("slice", "seq", "lag_s", "max_lag_s", "writable", "fetches_urls")
        first = next(iter(states.values()))
        whole = {name: value for name, value in first.items() if name not in of_node}
        return {**whole, "version": __version__, "slices": slices, "missing": missing}

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def text() -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _add_refusals(router: APIRouter) -> None:
    """Adds the routes of a node that a front can't serve; `add_refusals` has those that change documents."""

    @router.get("/duplicates", include_in_schema=False)
    async def duplicates() -> None:
        raise RefusedError(501, OF_SLICES)

    @router.post("/playground/try", include_in_schema=False)
    async def try_picture() -> None:
        raise RefusedError(501, NO_EXPERIMENTS)

    @router.api_route("/searches/{name:path}", methods=["PUT", "DELETE"], include_in_schema=False)
    async def change_search() -> None:
        raise RefusedError(403, ONLY_READS)


def _add_others(app: FastAPI, services: SliceServices) -> None:
    """Passes GET requests and the POST requests that only read on; added last, because it matches every path."""
    router = APIRouter(route_class=ProblemRoute, include_in_schema=False)

    @router.post("/encode")
    @router.post("/download")
    @router.post("/v1/embeddings")
    @router.api_route("/{path:path}", methods=["GET", "HEAD"])
    async def pass_on(request: Request) -> Response:
        response = await services.passed_on(request.scope, await request.body(), forwarded(request))
        answer = StreamingResponse(
            response.aiter_raw(), response.status_code, background=BackgroundTask(response.aclose)
        )
        answer.raw_headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers_of(response)]
        return answer

    app.include_router(router)
