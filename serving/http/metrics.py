"""What an operator watches, in the text format of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jina.serve.runtimes.gateway.streamer import GatewayStreamer
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from executors.schema import MediaDoc
from serving.jina.flow_calls import REQUEST_SIZE, FlowCalls

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The counts of one service; they live in a registry of their own, as Jina uses the global one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry, "namespace": "crossmodal"}
        self.requests = Counter("requests", "Answered requests", ["method", "route", "status"], **own)
        self.request_seconds = Histogram(
            "request_seconds", "Until the answer is out", ["route"], buckets=SECONDS, **own
        )
        self.in_progress = Gauge("requests_in_progress", "Requests that are being answered", **own)
        self.errors = Counter("errors", "What the Flow refused or failed at", ["endpoint", "kind"], **own)
        self.stage_seconds = Histogram("stage_seconds", "Time in a stage", ["stage"], buckets=SECONDS, **own)
        self.batch_documents = Histogram(
            "batch_documents", "Documents in a call of the Flow", ["endpoint"], buckets=BATCH, **own
        )
        ProcessCollector(registry=self.registry)

    def watch(self, name: str, help_text: str, value: Callable[[], float], **labels: str) -> None:
        """Adds a gauge that is asked for when somebody looks."""
        gauge = Gauge(name, help_text, list(labels), namespace="crossmodal", registry=self.registry)
        (gauge.labels(**labels) if labels else gauge).set_function(value)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)


class MeteredCalls(FlowCalls):
    """Calls of the Flow that are counted, with the time that each stage has taken."""

    def __init__(self, streamer: GatewayStreamer, metrics: Metrics) -> None:
        super().__init__(streamer)
        self._metrics = metrics

    async def answers(
        self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any], request_size: int = REQUEST_SIZE
    ) -> list[MediaDoc]:
        """As FlowCalls does."""
        self._metrics.batch_documents.labels(endpoint).observe(len(docs))
        start = time.perf_counter()
        try:
            answered = await super().answers(docs, endpoint, parameters, request_size)
        except Exception as error:
            self._metrics.errors.labels(endpoint, type(error).__name__).inc()
            raise
        self._metrics.stage_seconds.labels("flow").observe(time.perf_counter() - start)
        for stage, spent_ms in _spent(answered).items():
            self._metrics.stage_seconds.labels(stage).observe(spent_ms / 1e3)
        n_failed = sum(bool(doc.error) for doc in answered)
        if n_failed:
            self._metrics.errors.labels(endpoint, "document").inc(n_failed)
        return answered


def _spent(docs: list[MediaDoc]) -> dict[str, float]:
    """The longest time of each stage, since the documents of a request are worked on together."""
    spent: dict[str, float] = {}
    for doc in docs:
        for stage, spent_ms in doc.timings_ms.items():
            spent[stage] = max(spent.get(stage, 0.0), spent_ms)
    return spent


class CountRequests:
    """Counts what is answered, by route and status; the outermost door, so that it sees the refusals of the others."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        start = time.perf_counter()

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.in_progress.inc()
        try:
            await self.app(scope, receive, send_and_see)
        finally:
            self._metrics.in_progress.dec()
            route = route_of(scope)
            self._metrics.requests.labels(_method(scope), route, str(status)).inc()
            self._metrics.request_seconds.labels(route).observe(time.perf_counter() - start)


def route_of(scope: Scope) -> str:
    """The path of the route that answered, with its parameters' names; one name for all that is not ours."""
    path = getattr(scope.get("route"), "path", "")
    return path or ("/web" if str(scope.get("path", "")).startswith("/web/") else "other")


def _method(scope: Scope) -> str:
    known = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
    return scope["method"] if scope["method"] in known else "other"
