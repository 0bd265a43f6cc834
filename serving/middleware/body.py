"""BodyLimit: limits the size, the duration and the total size of request bodies."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.middleware.problem import Problem, Responder, problem_json, refuse

LINGER_S = 2.0
_BODILESS = {"GET", "HEAD", "OPTIONS"}


class BodyLimit:
    """Reads the whole body, counting its bytes, before the next application runs.

    Every route of this service reads the whole body anyway. Reading it here costs no more memory, applies the limit to
    chunked bodies too, and leaves the slots of ConcurrencyLimit to requests that have arrived. Starlette's limit of
    body sizes counts while the route reads, has no time limit, and ignores other requests.

    A body over the limit is answered 413 as soon as that is known, without reading it if Content-Length exceeds the
    limit; a body that is too slow 408; and a body that exceeds the limit on all bodies together 503.

    Args:
        app: The next application.
        max_bytes: The largest body.
        timeout_s: Time limit for receiving a body, in seconds.
        max_held_bytes: Limit on the bodies of all requests together, until each is answered; None for 4 * max_bytes.
        answer: Returns the response of a refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        *,
        timeout_s: float = 30.0,
        max_held_bytes: int | None = None,
        answer: Responder = problem_json,
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.max_held_bytes = 4 * max_bytes if max_held_bytes is None else max_held_bytes
        self.held_bytes = 0
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on requests without a body, or with one within the limits."""
        if scope["type"] != "http" or not _may_have_body(scope):
            await self.app(scope, receive, send)
            return
        body = _Body()
        try:
            problem = await self._read(body, scope, receive)
            if problem is not None:
                await self._refuse(problem, scope, receive, send)
            elif body.is_whole:
                await self.app(scope, body.replayed(receive), send)
        finally:
            self.held_bytes -= body.n_bytes

    async def _read(self, body: _Body, scope: Scope, receive: Receive) -> Problem | None:
        """Fills `body` and returns its problem, if any; `body` stays incomplete if the client disconnects."""
        if _declared_bytes(scope) > self.max_bytes:
            return self._too_large()
        try:
            async with asyncio.timeout(self.timeout_s):
                while not body.is_whole:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    self.held_bytes += body.add(message)
                    if body.n_bytes > self.max_bytes:
                        return self._too_large()
                    if self.held_bytes > self.max_held_bytes:
                        return Problem(503, "too many large requests at once: try again later", {"Retry-After": "1"})
        except TimeoutError:
            return Problem(408, f"the body did not arrive within {self.timeout_s:g} s")
        return None

    def _too_large(self) -> Problem:
        return Problem(413, f"the body is larger than {self.max_bytes:,} bytes: split the request")

    async def _refuse(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, and closes the connection so that the client still receives the answer.

        Closing while data arrives resets the connection, and a client that has not finished sending loses the answer.
        So the end of the answer is delayed while the rest of the body is read and discarded.
        """

        async def send_without_end(message: Message) -> None:
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        closing = Problem(problem.status, problem.detail, {**problem.headers, "Connection": "close"})
        await refuse(self._answer, closing, scope, receive, send_without_end)
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Body:
    """The part of a body that has arrived."""

    def __init__(self) -> None:
        self._received = bytearray()
        self.n_bytes = 0
        self.is_whole = False

    def add(self, message: Message) -> int:
        """Adds a part, and returns its size in bytes."""
        part: bytes = message.get("body", b"")
        self._received += part
        self.n_bytes += len(part)
        self.is_whole = not message.get("more_body", False)
        return len(part)

    def replayed(self, receive: Receive) -> Receive:
        """A `receive` that returns the body first, then the later messages of the client."""
        is_sent = False

        async def receive_again() -> Message:
            nonlocal is_sent
            if is_sent:
                return await receive()
            is_sent = True
            content, self._received = bytes(self._received), bytearray()
            return {"type": "http.request", "body": content, "more_body": False}

        return receive_again


def _may_have_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return (
        scope["method"] not in _BODILESS or headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    )


def _declared_bytes(scope: Scope) -> int:
    """The value of Content-Length, 0 if it is missing or invalid; the server itself refuses invalid ones."""
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0
