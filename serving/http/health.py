"""Routes for operators: /healthz, /readyz, /status and /metrics."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import asdict
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from crossmodal import __version__
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.collection.watch_state import WatchState
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.rare_log import warn_rarely
from crossmodal.core.types import MODALITIES, Modality
from executors.schema import MediaDoc, to_array
from serving.config import ServiceConfig
from serving.http.errors import PROBLEMS, RefusedError, problem_of
from serving.http.freshness import Freshness
from serving.http.metrics import CONTENT_TYPE, Metrics
from serving.http.schemas import ReadyAnswer
from serving.http.search import Opened, Searcher, picture_doc
from serving.jina.flow_calls import FlowCalls, UnavailableError

log = logging.getLogger(__name__)

HEALTH_TIMEOUT_S = 10.0
READY_TIMEOUT_S = 10.0
READY_HOLDS_S = 1.0
COUNTS_TIMEOUT_S = 2.0
GREY_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000008000000080800000000e164e1570000001049444154789c636c60800026068a18002608"
    "00905d30a51e0000000049454e44ae426082"
)
"""A grey picture of 8 x 8 pixels, to check the encoders with."""


def add_health(
    app: FastAPI, flow: FlowCalls, opened: GenerationCache[Any], config: ServiceConfig, freshness: Freshness
) -> None:
    """Adds GET /healthz and GET /status."""
    picture = to_array(GREY_PNG)
    content: dict[str, Any] = {"application/json": {}}
    unavailable: dict[int | str, dict[str, Any]] = {
        503: {"description": "A part of the service does not answer", "content": content}
    }

    @app.get("/healthz", summary="Check that every Executor answers", responses=unavailable)
    async def health() -> JSONResponse:
        docs = [
            MediaDoc(id="health-text", modality="text", text="health"),
            MediaDoc(id="health-image", modality="image", content=picture),
        ]
        try:
            answered = await asyncio.wait_for(flow(docs, "/health", {"top_k": 1}), HEALTH_TIMEOUT_S)
        except TimeoutError:
            return _unavailable(f"no answer within {HEALTH_TIMEOUT_S:.0f} s")
        except (UnavailableError, StateError, RuntimeError) as error:
            return _unavailable(problem_of(error).detail)
        failed = [doc.error for doc in answered if doc.error]
        if failed:
            return _unavailable("; ".join(failed))
        return JSONResponse({"status": "ok"})

    @app.get("/status", summary="Version, collection, model and engine of the service")
    def status() -> dict[str, Any]:
        _, now = opened.current()
        counts = now.store.counts()
        return {
            "version": __version__,
            "serves": config.endpoint,
            "writable": config.writable,
            "fetches_urls": config.allow_url_fetch,
            "collection": now.collection.root.name,
            "model": now.collection.model.to_dict(),
            "engine": asdict(now.engine),
            "images": counts["image"],
            "captions": counts["text"],
            "store": now.store.store_id(),
            "acknowledged": now.store.acknowledged(),
            "slice": config.part or None,
            "seq": now.store.last_seq(),
            "lag_s": freshness.lag_s(),
            "max_lag_s": config.max_lag_s or None,
            **({"watch": WatchState.read(now.collection.root, config.watch).for_clients()} if config.watch else {}),
        }


def _unavailable(reason: str) -> JSONResponse:
    return JSONResponse({"status": "unavailable", "reason": reason}, status_code=503)


def add_readiness(
    router: APIRouter,
    flow: FlowCalls,
    searcher: Searcher,
    opened: GenerationCache[Any],
    freshness: Freshness,
    *,
    has_slice: bool,
) -> None:
    """Adds GET /readyz; the slice of a small collection may be empty."""

    async def probe() -> ReadyAnswer:
        freshness.check()
        start = time.perf_counter()
        now = opened.current()[1]
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                (encoded,) = await searcher.encoded([_probe(now)])
                sent = MediaDoc(modality="vector", embedding=encoded.embedding, generation=encoded.generation)
                (answer,) = await flow([sent], "/search", {"top_k": 1, "target": "image"})
        except TimeoutError as error:
            raise RefusedError(503, f"no answer within {READY_TIMEOUT_S:.0f} s") from error
        except (InputError, RuntimeError) as error:
            raise RefusedError(503, f"the probe failed: {problem_of(error).detail}") from error
        if answer.error:
            raise RefusedError(503, f"the probe failed: {answer.error}")
        if not answer.matches and not has_slice and (await run_in_threadpool(now.store.counts))["image"]:
            raise RefusedError(503, "the probe returned no results")
        return ReadyAnswer(status="ready", took_ms=round((time.perf_counter() - start) * 1e3, 3))

    latest: tuple[float, asyncio.Task[ReadyAnswer]] | None = None

    @router.get("/readyz", summary="Check that encoding and search work now", responses={503: PROBLEMS[503]})
    async def ready() -> ReadyAnswer:
        """Encodes a text, or a picture if the model has no text encoder, and searches with the vector.

        The answer is cached for a second, because this route needs no key and each check runs a search.
        """
        nonlocal latest
        now = time.monotonic()
        if latest is None or now - latest[0] > READY_HOLDS_S:
            latest = now, asyncio.create_task(probe())
        return await asyncio.shield(latest[1])


def _probe(now: Opened) -> MediaDoc:
    if "text" in now.collection.model.modalities:
        return MediaDoc(modality="text", text="ready")
    return picture_doc(GREY_PNG)


def add_metrics(router: APIRouter, opened: GenerationCache[Any], metrics: Metrics) -> None:
    """Adds GET /metrics, which answers without the number of documents while the store does not answer."""
    counting: asyncio.Task[dict[Modality, int]] | None = None
    is_late = False  # whether `counting` did not end within its request; the next one uses its result: slow is not down
    counts: dict[Modality, int] = {}

    def count_of(modality: Modality) -> float:
        return counts.get(modality, math.nan)

    for modality in MODALITIES:
        metrics.watch(
            f"{modality}_documents",
            f"Documents of the modality {modality}; NaN if the store does not answer",
            partial(count_of, modality),
        )
    metrics.watch("store_up", "Whether the store answers", lambda: bool(counts))

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def text() -> Response:
        """While the store does not answer, `crossmodal_store_up` is 0, and the numbers of documents are NaN."""
        nonlocal counting, is_late, counts
        late: dict[Modality, int] = {}
        if counting is None or counting.done():  # otherwise a store that hangs would take a thread for each request
            if counting is not None and is_late:
                late = counting.result()
            counting = asyncio.create_task(run_in_threadpool(_counts, opened))
        task = counting
        done, _ = await asyncio.wait([task], timeout=COUNTS_TIMEOUT_S)
        counts, is_late = (task.result(), False) if done else (late, True)
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _counts(opened: GenerationCache[Any]) -> dict[Modality, int]:
    """The number of documents of each modality; nothing if the store is away."""
    try:
        counts: dict[Modality, int] = opened.current()[1].store.counts()
    except StateError as error:  # the other metrics are needed all the more
        warn_rarely(log, f"documents can't be counted: {error}")
        return {}
    return counts
