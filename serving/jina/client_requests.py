"""Checks and answers the requests of Jina's clients, which arrive as bytes over gRPC and WebSocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from google.protobuf.message import DecodeError

from crossmodal.core.errors import InputError
from executors.schema import MediaDoc
from serving.http.conditions import client_condition
from serving.jina.executor_errors import for_clients
from serving.jina.router import Message, Request, Router


class ClientRequests:
    """Answers requests for the endpoints of this service, and refuses all others.

    Args:
        router: Sends requests through the Flow.
        endpoints: The endpoints of this service, such as `/search`.
        admit: Returns when a search sees the commit with the given sequence number; raises RefusedError if it can't.
        is_private: Whether the only client is this program, which may see whole errors.
    """

    def __init__(
        self,
        router: Router,
        endpoints: Collection[str],
        admit: Callable[[int | None], Awaitable[None]],
        *,
        is_private: bool = False,
    ) -> None:
        self._router, self._admit, self._is_private = router, admit, is_private
        self.endpoints = frozenset(endpoints)

    def parsed(self, message: bytes) -> Message:
        """The parsed and checked request. The documents of clients are read, so that errors are found before any work.

        Raises:
            InputError: The message is not a request, its endpoint is not served, it selects Executors, or its
                documents can't be read.
        """
        try:
            request = Request.FromString(message)
        except DecodeError as error:
            raise InputError("the message is not a Jina request") from error
        if not message:
            raise InputError("the message is not a Jina request")
        if request.header.target_executor:
            raise InputError("target_executor is not supported, because requests pass the whole Flow: remove it")
        if request.header.exec_endpoint not in self.endpoints:
            served = ", ".join(sorted(self.endpoints))
            raise InputError(f"{request.header.exec_endpoint[:80]!r} is not served here, only {served}")
        if request.data.WhichOneof("documents") == "docs_bytes":
            raise InputError("docs_bytes is not supported: send the documents as `docs`")
        if self._is_private:  # this program sent them
            return request
        try:
            for doc in request.data.docs.docs:
                MediaDoc.from_protobuf(doc)
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"the documents can't be read: {reason}") from error
        return request

    async def answer(self, request: Message) -> bytes:
        """The answer to a checked request; an Executor's error is in its status.

        Raises:
            InputError: The number of a commit that a search must see is invalid, or the condition.
            RefusedError, StateError: A search can't see what it must see.
            UnavailableError: An Executor does not respond in time.
        """
        where = dict(request.parameters).get("where")
        if where and isinstance(where, str) and not self._is_private:
            client_condition(where)
        if request.header.exec_endpoint == "/search":
            given = dict(request.parameters).get("after_seq")
            if given is not None and not (isinstance(given, float) and 0 <= given < 2**63):
                raise InputError(f"after_seq: {str(given)[:40]!r} is not a number from 0")
            await self._admit(None if given is None else int(given))
        content, is_error = await self._router.answer(request)
        return for_clients(content, is_private=self._is_private) if is_error else content
