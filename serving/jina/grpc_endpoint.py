"""The door of the gRPC port: what is asked there must be what this service does, and goes the whole way through.

Jina serves more than a client needs: it lets a request choose the Executors it goes to by a regular expression of
its own, sends single documents past all of them but the first, and tells its settings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from crossmodal.images.decode import MAX_BYTES
from executors.schema import Docs

MAX_MESSAGE_BYTES = 4 * MAX_BYTES
"""A request of 32 photographs, as they come from a camera, and more."""
STREAM, SINGLE = "/jina.JinaRPC/Call", "/jina.JinaSingleDataRequestRPC/process_single_data"
UNCHANGED = (
    "/jina.JinaDiscoverEndpointsRPC/endpoint_discovery",
    "/jina.JinaGatewayDryRunRPC/dry_run",
    "/grpc.health.v1.Health/",
)
"""Services that are left as they are: they take no documents, and tell nothing but whether the service is well."""


_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, DecodeError)
"""What reading a damaged message raises, in Jina, docarray and numpy; the set is theirs."""


class EndpointAllowlist(grpc.aio.ServerInterceptor):  # type: ignore[misc]
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
            course = _Course()

            async def valid_docs() -> AsyncIterator[Any]:
                async for request in requests:
                    if fault := fault_of(request, self._endpoints):
                        course.end.set_result(fault)
                        return
                    course.n_open += 1
                    yield request
                course.is_all_asked = True
                course.note()

            async with aclosing(call(valid_docs(), context)) as answers:
                async for response in course.follow(answers):
                    yield without_stacks(response)
            if course.end.done() and course.end.result():
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, course.end.result())

        return checked_call

    def _single(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def checked_call(request: Any, context: Any) -> Any:
            if fault := fault_of(request, self._endpoints):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault)
            return without_stacks(await call(request, context))

        return checked_call


def fault_of(request: Any, endpoints: Collection[str]) -> str:
    """What is wrong with a request of Jina's, nothing where it is sound."""
    try:
        header = request.header
        endpoint, target = header.exec_endpoint, header.target_executor
    except _DAMAGE:
        return "no request of Jina's"
    if target:
        return "target_executor: a request goes through the whole Flow here, leave it out"
    if endpoint not in endpoints:
        return f"{endpoint[:80]!r} is not served here: {', '.join(sorted(endpoints))}"
    return _fault_of_documents(request.data)


class _Course:
    """How far a stream has come. Jina waits for ever for an answer that does not come: after a bad request, and, where
    answers are asked for in order, when the client says that it was the last only after it has been answered.
    """

    def __init__(self) -> None:
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when nothing is to come any more; says what is wrong with a request, if that is why."""
        self.n_open = 0
        self.is_all_asked = False

    def note(self) -> None:
        """Ends where everything is asked and answered."""
        if self.is_all_asked and self.n_open == 0 and not self.end.done():
            self.end.set_result("")

    async def follow(self, answers: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The answers until the end."""
        while True:
            following = asyncio.ensure_future(anext(answers, None))
            try:
                await asyncio.wait({following, self.end}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not following.done():
                    following.cancel()
                    await asyncio.wait({following})
            if following.cancelled() or (response := following.result()) is None:
                return
            yield response
            self.n_open -= 1
            self.note()


def _fault_of_documents(data: Any) -> str:
    """What is wrong with the documents. Jina would find out when it is too late to say so, and log a page."""
    kind = data.document_array_cls
    data.document_array_cls = Docs
    try:
        _ = data.docs
    except _DAMAGE as error:
        return f"documents that can't be read: {' '.join(str(error).split())[:300]}"
    finally:
        data.document_array_cls, data._loaded_doc_array = kind, None
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
