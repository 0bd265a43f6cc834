"""ConcurrencyLimit: limits the requests in progress and in the queue."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.middleware.problem import Paths, Problem, Responder, none_of_them, problem_json, refuse


class ConcurrencyLimit:
    """Rejects requests that would wait too long, because in an unlimited queue every request would be late.

    A slot is released when the last part of the answer is ready to send, so a client that reads it slowly, or has
    disconnected, keeps no slot.

    Args:
        app: The next application.
        n_at_once: Most requests in progress.
        n_waiting: Most requests that wait for a slot; None for `n_at_once`.
        max_wait_s: Seconds after which a waiting request is rejected.
        exempt: Returns whether a request, such as a health check, passes without counting.
        answer: Returns the response of a refusal, which is 503 with Retry-After.
    """

    def __init__(
        self,
        app: ASGIApp,
        n_at_once: int,
        *,
        n_waiting: int | None = None,
        max_wait_s: float = 2.0,
        exempt: Paths = none_of_them,
        answer: Responder = problem_json,
    ) -> None:
        self.app = app
        self.n_waiting = n_at_once if n_waiting is None else n_waiting
        self.max_wait_s = max_wait_s
        self._slots = asyncio.Semaphore(n_at_once)
        self.n_waiting_now = 0
        self._exempt = exempt
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on when a slot is free, or refuses it."""
        if scope["type"] != "http" or self._exempt(scope):
            await self.app(scope, receive, send)
        elif await self._acquire_slot():
            await self._pass(scope, receive, send)
        else:
            problem = Problem(503, "the service is overloaded: try again later", {"Retry-After": "1"})
            await refuse(self._answer, problem, scope, receive, send)

    async def _acquire_slot(self) -> bool:
        if not self._slots.locked():
            await self._slots.acquire()  # returns at once
            return True
        if self.n_waiting_now >= self.n_waiting:
            return False
        self.n_waiting_now += 1
        try:
            async with asyncio.timeout(self.max_wait_s):
                await self._slots.acquire()
        except TimeoutError:
            return False
        finally:
            self.n_waiting_now -= 1
        return True

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_held = True

        def release() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._slots.release()

        async def send_and_release(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                release()
            await send(message)

        try:
            await self.app(scope, receive, send_and_release)
        finally:
            release()
