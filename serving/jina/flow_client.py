"""A gRPC client of a running Flow, for the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc
from jina.proto import jina_pb2

from crossmodal.core.errors import StateError
from crossmodal.core.settings import Settings
from executors.schema import MediaDoc
from serving.jina.ports import in_url
from serving.jina.routed_calls import request_of
from serving.jina.router import Request

PREFETCH = 4
"""Requests in flight: enough to keep the encoder busy, few enough to limit memory."""
LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
REQUEST_BYTES = 32 << 20
"""Encoded pictures in a request, which the Flow's limit of a message has room for with one more of any size."""
METHOD = "/jina.JinaRPC/Call"
OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
)


def call(
    settings: Settings,
    endpoint: str,
    docs: Iterable[MediaDoc],
    on_answer: Callable[[Iterable[MediaDoc]], None],
    parameters: dict[str, Any] | None = None,
) -> None:
    """Streams documents through the Flow on `settings.port + 1`; calls `on_answer` with the documents of each answer.

    Raises:
        StateError: An Executor failed or does not respond.
    """
    try:
        asyncio.run(_stream(settings, endpoint, docs, on_answer, parameters or {}))
    except grpc.RpcError as error:
        what = "the Flow does not respond" if error.code() in LOST else f"{endpoint} failed"
        raise StateError(f"{what}: {error.details()}") from error
    except asyncio.InvalidStateError as error:  # of a stream that the Flow has ended
        raise StateError(f"the Flow does not respond: {error}") from error


async def _stream(
    settings: Settings,
    endpoint: str,
    docs: Iterable[MediaDoc],
    on_answer: Callable[[Iterable[MediaDoc]], None],
    parameters: dict[str, Any],
) -> None:
    async with grpc.aio.insecure_channel(f"{in_url(settings.host)}:{settings.port + 1}", options=OPTIONS) as channel:
        stream = channel.stream_stream(
            METHOD, request_serializer=Request.SerializeToString, response_deserializer=Request.FromString
        )()

        async def receive() -> None:
            answer = await stream.read()
            if answer is grpc.aio.EOF:
                raise StateError(f"{endpoint} failed: the Flow did not answer all requests")
            status = answer.header.status
            if status.code == jina_pb2.StatusProto.ERROR:
                raise StateError(f"{endpoint} failed: {status.description}")
            on_answer([MediaDoc.from_protobuf(doc) for doc in answer.data.docs.docs])

        # Not with an iterator of requests: gRPC swallows its errors, and hides why the Flow ended a stream.
        in_flight = 0
        for part in _parts(docs, settings.request_size):
            if in_flight == PREFETCH:  # answers come in the order of the requests
                await receive()
                in_flight -= 1
            await stream.write(request_of(part, endpoint, parameters))
            in_flight += 1
        await stream.done_writing()
        for _ in range(in_flight):
            await receive()


def _parts(docs: Iterable[MediaDoc], n_docs: int) -> Iterator[list[MediaDoc]]:
    """The documents of one request each: `n_docs`, or fewer if their pictures have more than `REQUEST_BYTES`."""
    part: list[MediaDoc] = []
    n_bytes = 0
    for doc in docs:
        part.append(doc)
        n_bytes += 0 if doc.content is None else len(doc.content)
        if len(part) == n_docs or n_bytes > REQUEST_BYTES:
            yield part
            part, n_bytes = [], 0
    if part:
        yield part
