"""BodyLimit: limits the size, the duration and the total size of request bodies."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.middleware.problem import Answer, Problem, problem_json, refuse

LINGER_S = 2.0
_BODILESS = {"GET", "HEAD", "OPTIONS"}


class BodyLimit:
    """Reads a body whole, counting what arrives, before anything behind it runs.

    Every route of this service reads the whole body anyway. Reading it here costs no more memory, makes the
    limit hold for chunked bodies too, whatever the route does with them, and leaves the places of
    ConcurrencyLimit to requests that can be worked on. Starlette's own limit of body sizes counts while the
    route reads: it has no limit of time, and knows nothing of the other requests.

    A body over the limit is answered 413 as soon as that shows, without reading it where Content-Length says
    so; one that is too slow 408; and one for which there is no room beside the others 503.

    Args:
        app: What is behind it.
        max_bytes: The largest body.
        timeout_s: How long a body may take.
        max_held_bytes: For the bodies of all requests together, until each is answered; None for 4 * max_bytes.
        answer: Makes the response of a refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        *,
        timeout_s: float = 30.0,
        max_held_bytes: int | None = None,
        answer: Answer = problem_json,
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.max_held_bytes = 4 * max_bytes if max_held_bytes is None else max_held_bytes
        self.held_bytes = 0
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what has a body within the limits, or none."""
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
        """Fills `body`, and says what is wrong with it; it is not whole where the client has gone."""
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
                        return Problem(503, "too many large requests at once: try again", {"Retry-After": "1"})
        except TimeoutError:
            return Problem(408, f"the body did not arrive within {self.timeout_s:g} s")
        return None

    def _too_large(self) -> Problem:
        return Problem(413, f"the body is larger than {self.max_bytes:,} bytes: send less at once")

    async def _refuse(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, and closes the connection in a way that lets the client see the answer.

        Closing while data is still coming in resets the connection, and a client that has not finished sending
        then loses the answer, too. So the end of the answer is held back for a moment while the rest is thrown
        away.
        """

        async def send_all_but_the_end(message: Message) -> None:
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        closing = Problem(problem.status, problem.detail, {**problem.headers, "Connection": "close"})
        await refuse(self._answer, closing, scope, receive, send_all_but_the_end)
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Body:
    """What has arrived of a body."""

    def __init__(self) -> None:
        self._received = bytearray()
        self.n_bytes = 0
        self.is_whole = False

    def add(self, message: Message) -> int:
        """Takes a part in, and returns its size."""
        part: bytes = message.get("body", b"")
        self._received += part
        self.n_bytes += len(part)
        self.is_whole = not message.get("more_body", False)
        return len(part)

    def replayed(self, receive: Receive) -> Receive:
        """A `receive` that gives the body first, and then what else the client does."""
        given = False

        async def receive_again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            content, self._received = bytes(self._received), bytearray()
            return {"type": "http.request", "body": content, "more_body": False}

        return receive_again


def _may_have_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return (
        scope["method"] not in _BODILESS or headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    )


def _declared_bytes(scope: Scope) -> int:
    """What Content-Length says; 0 where it says nothing, or nonsense, which the server refuses by itself."""
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0
