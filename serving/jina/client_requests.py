"""Requests of Jina's clients, which come as bytes over gRPC and WebSocket: checked, and answered as bytes."""

from __future__ import annotations

from collections.abc import Collection

from google.protobuf.message import DecodeError

from crossmodal.core.errors import InputError
from executors.schema import MediaDoc
from serving.jina.router import Message, Request, Router


class ClientRequests:
    """Answers requests for the endpoints of this service, and refuses all others.

    Args:
        router: The way through the Flow.
        endpoints: What this service does, such as `/search`.
    """

    def __init__(self, router: Router, endpoints: Collection[str]) -> None:
        self._router = router
        self.endpoints = frozenset(endpoints)

    def parsed(self, message: bytes) -> Message:
        """A request that is sound: documents are read once here, so that a fault is named before anything is done.

        Raises:
            InputError: It is no request, asks for an endpoint that is not served or for certain Executors, or has
                documents that can't be read.
        """
        try:
            request = Request.FromString(message)
        except DecodeError as error:
            raise InputError("no request of Jina's") from error
        if not message:
            raise InputError("no request of Jina's")
        if request.header.target_executor:
            raise InputError("target_executor: a request goes through the whole Flow here, leave it out")
        if request.header.exec_endpoint not in self.endpoints:
            served = ", ".join(sorted(self.endpoints))
            raise InputError(f"{request.header.exec_endpoint[:80]!r} is not served here: {served}")
        if request.data.WhichOneof("documents") == "docs_bytes":
            raise InputError("docs_bytes: send the documents as `docs`")
        try:
            for doc in request.data.docs.docs:
                MediaDoc.from_protobuf(doc)
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"documents that can't be read: {reason}") from error
        return request

    async def answer(self, request: Message) -> bytes:
        """The answer to a sound request; a refusal of an Executor is in its status, without the stack trace.

        Raises:
            UnavailableError: An Executor is gone or too slow.
        """
        content, is_refused = await self._router.answer(request)
        return without_stacks(content) if is_refused else content


def without_stacks(content: bytes) -> bytes:
    """A refusal without stack traces, which name folders of this machine."""
    response = Request.FromString(content)
    del response.header.status.exception.stacks[:]
    for route in response.routes:
        del route.status.exception.stacks[:]
    return bytes(response.SerializeToString())
