"""Metrics in the text format of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from executors.schema import MediaDoc

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one service, in a separate registry because Jina uses the global one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        common: dict[str, Any] = {"registry": self.registry, "namespace": "crossmodal"}
        self.requests = Counter("requests", "Answered requests", ["method", "route", "status"], **common)
        self.request_seconds = Histogram(
            "request_seconds", "Seconds until the answer is sent", ["route"], buckets=SECONDS, **common
        )
        self.in_progress = Gauge("requests_in_progress", "Requests in progress", **common)
        self.errors = Counter("errors", "Errors of the Flow", ["endpoint", "kind"], **common)
        self.stage_seconds = Histogram("stage_seconds", "Time in a stage", ["stage"], buckets=SECONDS, **common)
        self.batch_documents = Histogram(
            "batch_documents", "Documents in a call of the Flow", ["endpoint"], buckets=BATCH, **common
        )
        ProcessCollector(registry=self.registry)

    def watch(self, name: str, help_text: str, value: Callable[[], float], **labels: str) -> None:
        """Adds a gauge whose value is read on each GET /metrics."""
        gauge = Gauge(name, help_text, list(labels), namespace="crossmodal", registry=self.registry)
        (gauge.labels(**labels) if labels else gauge).set_function(value)

    def answered(self, endpoint: str, n_sent: int, answers: list[MediaDoc], spent_s: float) -> None:
        """Records a successful call of the Flow and the time of each stage.

        Calls without documents, which let the indexes follow the store, are not counted.
        """
        if not n_sent:
            return
        self.batch_documents.labels(endpoint).observe(n_sent)
        self.stage_seconds.labels("flow").observe(spent_s)
        for stage, spent_ms in _stage_times_ms(answers).items():
            self.stage_seconds.labels(stage).observe(spent_ms / 1e3)
        n_failed = sum(bool(doc.error) for doc in answers)
        if n_failed:
            self.errors.labels(endpoint, "document").inc(n_failed)

    def failed(self, endpoint: str, n_sent: int, error: Exception) -> None:
        """Records a call of the Flow that raised an error."""
        self.batch_documents.labels(endpoint).observe(n_sent)
        self.errors.labels(endpoint, type(error).__name__).inc()

    def text(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self.registry)


def _stage_times_ms(docs: list[MediaDoc]) -> dict[str, float]:
    """Milliseconds of each stage: the maximum, because the documents of a request are processed together."""
    spent: dict[str, float] = {}
    for doc in docs:
        for stage, spent_ms in doc.timings_ms.items():
            spent[stage] = max(spent.get(stage, 0.0), spent_ms)
    return spent


class CountRequests:
    """Counts requests by route and status. As the outermost middleware, it also counts requests that others refuse."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, and records its route, status and time when the answer has been sent."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        start = time.perf_counter()

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.in_progress.inc()
        try:
            await self.app(scope, receive, send_and_record)
        finally:
            self._metrics.in_progress.dec()
            route = route_of(scope)
            self._metrics.requests.labels(_method(scope), route, str(status)).inc()
            self._metrics.request_seconds.labels(route).observe(time.perf_counter() - start)


def route_of(scope: Scope) -> str:
    """The path of the route that answered, with the names of its parameters; "other" if there is no such route."""
    path = getattr(scope.get("route"), "path", "")
    return path or ("/web" if str(scope.get("path", "")).startswith("/web/") else "other")


def _method(scope: Scope) -> str:
    known = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
    return scope["method"] if scope["method"] in known else "other"
