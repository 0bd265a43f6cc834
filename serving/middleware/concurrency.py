"""ConcurrencyLimit: limits the requests in work and in the queue."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.middleware.problem import Answer, Paths, Problem, none_of_them, problem_json, refuse


class ConcurrencyLimit:
    """Rejects at once what it can't work on soon: in an unlimited queue every request would be late.

    A place is free again when the answer is made. How fast the client then takes its last part is its own
    affair, so one that reads slowly, or has gone, keeps no place.

    Args:
        app: What is behind it.
        n_at_once: How many requests are worked on at the same time.
        n_waiting: How many more may wait for a place; None for as many as `n_at_once`.
        max_wait_s: How long they wait before they are shed, too.
        exempt: Requests that are let in without counting, such as health checks.
        answer: Makes the response of a refusal, which is 503 with Retry-After.
    """

    def __init__(
        self,
        app: ASGIApp,
        n_at_once: int,
        *,
        n_waiting: int | None = None,
        max_wait_s: float = 2.0,
        exempt: Paths = none_of_them,
        answer: Answer = problem_json,
    ) -> None:
        self.app = app
        self.n_at_once = n_at_once
        self.n_waiting = n_at_once if n_waiting is None else n_waiting
        self.max_wait_s = max_wait_s
        self._places = asyncio.Semaphore(n_at_once)
        self.n_waiting_now = 0
        self._exempt = exempt
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on when there is a place for it."""
        if scope["type"] != "http" or self._exempt(scope):
            await self.app(scope, receive, send)
        elif await self._place_is_found():
            await self._pass(scope, receive, send)
        else:
            problem = Problem(503, "the service is working on as much as it can: try again", {"Retry-After": "1"})
            await refuse(self._answer, problem, scope, receive, send)

    async def _place_is_found(self) -> bool:
        if not self._places.locked():
            await self._places.acquire()  # at once, as nobody is before us
            return True
        if self.n_waiting_now >= self.n_waiting:
            return False
        self.n_waiting_now += 1
        try:
            async with asyncio.timeout(self.max_wait_s):
                await self._places.acquire()
        except TimeoutError:
            return False
        finally:
            self.n_waiting_now -= 1
        return True

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = True

        def leave() -> None:
            nonlocal held
            if held:
                held = False
                self._places.release()

        async def send_and_leave(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                leave()
            await send(message)

        try:
            await self.app(scope, receive, send_and_leave)
        finally:
            leave()
