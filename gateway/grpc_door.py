"""The door of the gRPC port: what is asked there must be what this service does, and goes the whole way through.

Jina serves more than a client needs: it lets a request choose the Executors it goes to by a regular expression of
its own, sends single documents past all of them but the first, and tells its settings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from crossmodal.images.decode import MAX_BYTES

MAX_MESSAGE_BYTES = 4 * MAX_BYTES
"""A request of 32 photographs, as they come from a camera, and more."""
STREAM, SINGLE = "/jina.JinaRPC/Call", "/jina.JinaSingleDataRequestRPC/process_single_data"
UNCHANGED = (
    "/jina.JinaDiscoverEndpointsRPC/endpoint_discovery",
    "/jina.JinaGatewayDryRunRPC/dry_run",
    "/grpc.health.v1.Health/",
)
"""Services that are left as they are: they take no documents, and tell nothing but whether the service is well."""


class OnlyServed(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets requests for our endpoints through and no others; takes stack traces out of the answers.

    Args:
        endpoints: What this service does, such as `/search`.
    """

    def __init__(self, endpoints: Collection[str]) -> None:
        self._endpoints = frozenset(endpoints)

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """The handler of a call, or one that refuses."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(UNCHANGED):
            return handler
        codec = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if method == STREAM:
            return grpc.stream_stream_rpc_method_handler(self._stream(handler.stream_stream), **codec)
        if method == SINGLE:
            return grpc.unary_unary_rpc_method_handler(self._single(handler.unary_unary), **codec)
        return grpc.unary_unary_rpc_method_handler(_refuse)

    def _stream(self, call: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
        async def checked_call(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            faults: list[str] = []

            async def sound() -> AsyncIterator[Any]:
                async for request in requests:
                    if fault := self.fault(request):
                        faults.append(fault)
                        return  # raised in here it would be lost: Jina reads in a task of its own
                    yield request

            async for response in call(sound(), context):
                yield without_stacks(response)
            if faults:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, faults[0])

        return checked_call

    def _single(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def checked_call(request: Any, context: Any) -> Any:
            if fault := self.fault(request):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault)
            return without_stacks(await call(request, context))

        return checked_call

    def fault(self, request: Any) -> str:
        """What is wrong with a request, nothing where it is sound."""
        try:
            header = request.header
            endpoint, target = header.exec_endpoint, header.target_executor
        except DecodeError:
            return "no request of Jina's"
        if target:
            return "target_executor: a request goes through the whole Flow here, leave it out"
        if endpoint not in self._endpoints:
            return f"{endpoint[:80]!r} is not served here: {', '.join(sorted(self._endpoints))}"
        return ""


def without_stacks(response: Any) -> Any:
    """The response without stack traces, which tell where the program lies."""
    if response.header.HasField("status"):
        del response.header.status.exception.stacks[:]
    for route in response.routes:
        del route.status.exception.stacks[:]
    return response


async def _refuse(_: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not served here")
