"""The gRPC port: the part of Jina's protocol that its clients need.

Jina's gateway serves more: a request can select its Executors by a regular expression, single documents skip all
Executors but the first, and the settings are shown. Methods that are not defined here are answered UNIMPLEMENTED.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from jina.proto import jina_pb2

from crossmodal.core.errors import InputError
from crossmodal.images.decode import MAX_BYTES
from serving.http.errors import problem_of
from serving.jina.client_requests import ClientRequests
from serving.jina.flow_calls import UnavailableError
from serving.jina.router import Request

MAX_MESSAGE_BYTES = 4 * MAX_BYTES
"""Room for 64 camera photographs of 4 MB."""
MAX_IN_FLIGHT = 64
"""Most requests of one stream in progress; a client can lower it with `__prefetch__`."""
OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Jina's clients ping an idle connection every 10 s, which gRPC by default treats as abuse and closes.
    ("grpc.http2.max_ping_strikes", 0),
)

_CODES = {
    422: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""By the status over HTTP."""


class GrpcEndpoint:
    """A gRPC server for Jina's clients. Create it inside the event loop that it runs in.

    Args:
        requests: Checks and answers requests.
        target: Where to listen, `HOST:PORT`.
    """

    def __init__(self, requests: ClientRequests, target: str) -> None:
        self._requests = requests
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(options=OPTIONS)
        self._server.add_insecure_port(target)
        self._server.add_generic_rpc_handlers(self._handlers())
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def _handlers(self) -> Sequence[grpc.GenericRpcHandler]:
        """The handlers of the methods; requests and answers stay bytes because most are passed on without parsing."""
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        serialize = {"response_serializer": lambda message: message.SerializeToString()}
        methods = {
            "JinaRPC": {"Call": stream(self._stream)},
            "JinaSingleDataRequestRPC": {"process_single_data": unary(self._single)},
            "JinaDiscoverEndpointsRPC": {"endpoint_discovery": unary(self._discover, **serialize)},
            "JinaGatewayDryRunRPC": {"dry_run": unary(self._dry_run, **serialize)},
        }
        return [grpc.method_handlers_generic_handler(f"jina.{name}", calls) for name, calls in methods.items()]

    async def start(self) -> None:
        """Starts to listen, and reports the service as healthy."""
        await self._server.start()
        await self._health.set("jina.JinaRPC", health_pb2.HealthCheckResponse.SERVING)

    async def wait(self) -> None:
        """Returns when the server has been closed."""
        await self._server.wait_for_termination()

    async def close(self) -> None:
        """Stops the server and cancels the requests in progress."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace=None)

    async def _single(self, message: bytes, context: Any) -> bytes:
        try:
            return await self._requests.answer(self._requests.parsed(message))
        except Exception as error:  # noqa: BLE001 -- `problem_of` logs a bug
            await _abort(context, error)

    async def _stream(self, messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """The answers in the order of the requests, several of which run at the same time."""
        slots = asyncio.Semaphore(_in_flight(context))
        started: asyncio.Queue[asyncio.Task[bytes] | InputError | None] = asyncio.Queue()
        reader = asyncio.create_task(self._read(messages, slots, started))
        try:
            while (answer := await started.get()) is not None:
                if isinstance(answer, InputError):
                    raise answer
                yield await answer
                slots.release()
        except Exception as error:  # noqa: BLE001 -- `problem_of` logs a bug
            await _abort(context, error)
        finally:
            reader.cancel()
            while not started.empty():
                if isinstance(left := started.get_nowait(), asyncio.Task):
                    left.cancel()

    async def _read(
        self,
        messages: AsyncIterator[bytes],
        slots: asyncio.Semaphore,
        started: asyncio.Queue[asyncio.Task[bytes] | InputError | None],
    ) -> None:
        """Starts each request as it arrives; an invalid one ends the stream, after the answers to the earlier ones."""
        try:
            async for message in messages:
                request = self._requests.parsed(message)
                await slots.acquire()
                started.put_nowait(asyncio.create_task(self._requests.answer(request)))
        except InputError as error:
            started.put_nowait(error)
        started.put_nowait(None)

    async def _discover(self, _: bytes, context: Any) -> Any:
        return jina_pb2.EndpointsProto(endpoints=sorted(self._requests.endpoints))

    async def _dry_run(self, _: bytes, context: Any) -> Any:
        """Whether all Executors respond, for `jina.Client.is_flow_ready`."""
        request = Request()
        request.header.exec_endpoint = "/health"
        try:
            await self._requests.answer(request)
        except UnavailableError as error:
            return jina_pb2.StatusProto(code=jina_pb2.StatusProto.ERROR, description=problem_of(error).detail)
        return jina_pb2.StatusProto(code=jina_pb2.StatusProto.SUCCESS)


def _in_flight(context: Any) -> int:
    prefetch = dict(context.invocation_metadata() or ()).get("__prefetch__", "")
    is_number = prefetch.isdecimal() and len(prefetch) < 10
    return min(max(int(prefetch), 1), MAX_IN_FLIGHT) if is_number else MAX_IN_FLIGHT


async def _abort(context: Any, error: Exception) -> NoReturn:
    """Ends a call with the gRPC status of an error."""
    problem = problem_of(error)
    await context.abort(_CODES.get(problem.status, grpc.StatusCode.INTERNAL), problem.detail)
    raise AssertionError("abort raises")
