"""FlowCalls through a Router: converts documents to messages and back, and Executors' errors to exceptions."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from jina.proto import jina_pb2

from crossmodal.core.batched import batched
from crossmodal.core.errors import InputError
from executors.schema import MediaDoc
from serving.jina.executor_errors import executor_error
from serving.jina.router import Message, Request, Router

if TYPE_CHECKING:
    from serving.http.metrics import Metrics

REQUEST_SIZE = 32
"""Documents in one request to the Executors."""


class RoutedCalls:
    """Sends documents through a Flow, in requests that its Executors process as a batch.

    Args:
        router: Sends requests through the Flow.
        metrics: Receives the outcome of every call.
    """

    def __init__(self, router: Router, metrics: Metrics) -> None:
        self._router = router
        self._metrics = metrics

    async def __call__(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """As `FlowCalls.__call__`. Documents with the same id are sent once, because answers are matched by id."""
        parts = list(batched({doc.id: doc for doc in docs}.values(), REQUEST_SIZE))
        answered = await self._answers(parts or [[]], endpoint, parameters)
        by_id = {doc.id: doc for doc in answered}
        missing = [doc.id for doc in docs if doc.id not in by_id]
        if missing:
            raise RuntimeError(f"the Flow lost {len(missing)} of {len(docs)} documents")
        return [by_id[doc.id] for doc in docs]

    async def answers(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """As `FlowCalls.answers`."""
        return await self._answers([docs], endpoint, parameters)

    async def _answers(self, parts: list[list[MediaDoc]], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """The documents that the Flow returns to several requests."""
        n_sent, start = sum(map(len, parts)), time.perf_counter()
        try:
            requests = [request_of(part, endpoint, parameters) for part in parts]
            contents = await asyncio.gather(*map(self._router.answer, requests))
            answers = [doc for content, _ in contents for doc in _documents(content)]
        except Exception as error:
            self._metrics.failed(endpoint, n_sent, error)
            raise
        self._metrics.answered(endpoint, n_sent, answers, time.perf_counter() - start)
        return answers


def request_of(docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> Message:
    """The request with documents for an endpoint.

    Raises:
        InputError: A value can't be sent.
    """
    request = Request()
    request.header.exec_endpoint = endpoint
    try:
        for doc in docs:
            doc.write_to(request.data.docs.docs.add())
        request.parameters.update(parameters)
    except (ValueError, OverflowError) as error:  # an unpaired surrogate, or a number that is too large
        raise InputError(f"the request can't be sent to the Flow: {error}") from error
    return request


def _documents(content: bytes) -> list[MediaDoc]:
    answer = Request.FromString(content)
    status = answer.header.status
    if status.code == jina_pb2.StatusProto.ERROR:
        raise executor_error(status.exception)
    return [MediaDoc.from_protobuf(message) for message in answer.data.docs.docs]
