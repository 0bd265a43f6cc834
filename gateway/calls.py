"""Calls from the gateway into its Flow: whole answers out, an Executor's errors as ours."""

from __future__ import annotations

import asyncio
from typing import Any

from docarray import DocList
from jina.proto.jina_pb2 import StatusProto
from jina.serve.runtimes.gateway.streamer import GatewayStreamer
from jina.types.request.data import DataRequest

from crossmodal.core.errors import InputError, StateError
from executors.docs import MediaDoc

REQUEST_SIZE = 32


class FlowCalls:
    """Sends documents through the Flow."""

    def __init__(self, streamer: GatewayStreamer) -> None:
        self._streamer = streamer

    async def __call__(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """Sends all documents through the Flow and returns the answers in their order.

        Raises:
            InputError, StateError: What an Executor refused.
            InternalNetworkError: An Executor is gone or too slow.
            RuntimeError: A document is missing, which would be a fault of the Flow.
        """
        # A document that is asked for twice goes through once: the Flow tells documents apart by id.
        answered = await self.answers(list({doc.id: doc for doc in docs}.values()), endpoint, parameters)
        by_id = {doc.id: doc for doc in answered}
        missing = [doc.id for doc in docs if doc.id not in by_id]
        if missing:
            raise RuntimeError(f"the Flow lost {len(missing)} of {len(docs)} documents")
        return [by_id[doc.id] for doc in docs]

    async def answers(
        self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any], request_size: int = REQUEST_SIZE
    ) -> list[MediaDoc]:
        """All that comes back, which may be more than was sent; raises as a call does."""
        parts = [docs[start : start + request_size] for start in range(0, len(docs), request_size)] or [[]]
        try:
            requests = [_request(part, endpoint, parameters) for part in parts]
            answered = await asyncio.gather(*map(self._through, requests))
        except (ValueError, OverflowError) as error:  # half a character, or a number without end
            raise InputError(f"something in the request can't be passed on: {error}") from error
        return [doc for part in answered for doc in part]

    async def _through(self, request: DataRequest) -> list[MediaDoc]:
        """The documents of a request as they come out of the Flow.

        Not by Jina's stream, which takes requests out of an iterator in a thread, and has five tasks and three queues
        for one answer.
        """
        stream = self._streamer._streamer
        answer, _ = stream._request_handler(request=request, return_type=DocList[MediaDoc])
        result = stream._result_handler(await answer)
        if result.status.code == StatusProto.ERROR:
            raise _as_ours(result.status.exception)
        return list(result.docs)


def _request(docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> DataRequest:
    request = DataRequest()
    request.document_array_cls = DocList[MediaDoc]
    request.data.docs = DocList[MediaDoc](docs)
    request.header.exec_endpoint = endpoint
    request.parameters = parameters
    return request


def _as_ours(raised: Any) -> Exception:
    """The exception an Executor raised, which arrives by name, as ours again."""
    for kind in (InputError, StateError):
        if raised.name == kind.__name__:
            return kind(" ".join(raised.args))
    return RuntimeError(f"{raised.executor} failed: {raised.name}: {' '.join(raised.args)}")
