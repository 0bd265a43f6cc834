"""A gRPC client of a running Flow, for the command line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
from jina.proto import jina_pb2

from crossmodal.core.errors import StateError
from crossmodal.core.settings import Settings
from executors.schema import MediaDoc
from serving.jina.ports import in_url
from serving.jina.routed_calls import request_of
from serving.jina.router import Request

log = logging.getLogger(__name__)
PREFETCH = 4
"""Requests in flight: enough to keep the encoder busy, few enough to limit memory."""
LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
REQUEST_BYTES = 32 << 20
"""A request ends with the picture that exceeds this size; it stays below the limit of a message to the Flow."""
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

    If `docs` raises an error, the documents before it are finished, and then the error is raised.

    Raises:
        StateError: An Executor failed or does not respond.
    """
    try:
        asyncio.run(_stream(settings, endpoint, docs, on_answer, parameters or {}))
    except grpc.RpcError as error:
        what = "the Flow does not respond" if error.code() in LOST else f"{endpoint} failed"
        raise StateError(f"{what}: {error.details()}") from error


async def _stream(
    settings: Settings,
    endpoint: str,
    docs: Iterable[MediaDoc],
    on_answer: Callable[[Iterable[MediaDoc]], None],
    parameters: dict[str, Any],
) -> None:
    in_flight = asyncio.Semaphore(PREFETCH)
    async with grpc.aio.insecure_channel(f"{in_url(settings.host)}:{settings.port + 1}", options=OPTIONS) as channel:
        stream = channel.stream_stream(
            METHOD, request_serializer=Request.SerializeToString, response_deserializer=Request.FromString
        )()

        async def send() -> None:
            try:
                async for part in _parts(docs, settings.request_size):
                    await in_flight.acquire()
                    await stream.write(request_of(part, endpoint, parameters))
            except (grpc.RpcError, asyncio.InvalidStateError) as error:  # reading tells why the Flow ended the stream
                log.debug("sending ended: %r", error)
            finally:
                await stream.done_writing()

        sending = asyncio.create_task(send())
        try:
            while (answer := await stream.read()) is not grpc.aio.EOF:
                status = answer.header.status
                if status.code == jina_pb2.StatusProto.ERROR:
                    raise StateError(f"{endpoint} failed: {status.description}")
                in_flight.release()
                on_answer([MediaDoc.from_protobuf(doc) for doc in answer.data.docs.docs])
        finally:
            sending.cancel()
        await sending


async def _parts(docs: Iterable[MediaDoc], at_most: int) -> AsyncIterator[list[MediaDoc]]:
    """The documents of one request each: `at_most`, or fewer if their pictures have more than `REQUEST_BYTES`.

    The first has an eighth, so that the encoder soon has something to do.
    """
    part: list[MediaDoc] = []
    n_bytes, n_docs = 0, max(1, at_most // 8)
    try:
        for doc in docs:
            await asyncio.sleep(0)  # receives what has arrived meanwhile
            part.append(doc)
            n_bytes += 0 if doc.content is None else len(doc.content)
            if len(part) == n_docs or n_bytes > REQUEST_BYTES:
                yield part
                part, n_bytes, n_docs = [], 0, at_most
    except Exception:
        if part:
            yield part
        raise
    if part:
        yield part
