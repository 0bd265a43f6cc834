"""Calls from the gateway into its Flow: whole answers out, an Executor's errors as ours."""

from __future__ import annotations

import asyncio
from typing import Any

from jina.proto.jina_pb2 import StatusProto
from jina.serve.runtimes.gateway.streamer import GatewayStreamer
from jina.types.request.data import DataRequest

from crossmodal.core.errors import InputError, StateError
from executors.schema import Docs, MediaDoc

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
            answered = await asyncio.gather(*(self._through(part, endpoint, parameters) for part in parts))
        except (ValueError, OverflowError) as error:  # half a character, or a number without end
            raise InputError(f"something in the request can't be passed on: {error}") from error
        return [doc for part in answered for doc in part]

    async def _through(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """The documents of a request as they come out of the Flow."""
        request = _request(docs, endpoint, parameters)
        modalities = {doc.modality for doc in docs}
        way = self._streamer.topology_graph.way(modalities.pop(), endpoint) if len(modalities) == 1 else None
        if way is None:
            answer = await self._by_the_graph(request)
        else:
            answer = await self._streamer.topology_graph.along(way, request)
        told = answer.proto_with_data  # all of it at once: asking for the status first reads all but the documents
        if told.header.status.code == StatusProto.ERROR:
            raise _as_ours(told.header.status.exception)
        return [MediaDoc.from_protobuf(message) for message in told.data.docs.docs]

    async def _by_the_graph(self, request: DataRequest) -> DataRequest:
        """By Jina's graph, and not its stream, which takes requests out of an iterator in a thread, and has five tasks
        and three queues for one answer.
        """
        stream = self._streamer._streamer
        answer, _ = stream._request_handler(request=request, return_type=Docs)
        return stream._result_handler(await answer)


def _request(docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> DataRequest:
    request = DataRequest()
    request.document_array_cls = Docs
    written = request.proto_with_data.data.docs
    written.SetInParent()
    for doc in docs:
        doc.write_to(written.docs.add())
    request.header.exec_endpoint = endpoint
    request.parameters = parameters
    return request


def _as_ours(raised: Any) -> Exception:
    """The exception an Executor raised, which arrives by name, as ours again."""
    for kind in (InputError, StateError):
        if raised.name == kind.__name__:
            return kind(" ".join(raised.args))
    return RuntimeError(f"{raised.executor} failed: {raised.name}: {' '.join(raised.args)}")
