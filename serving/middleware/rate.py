"""RateLimit: limits the requests per second of a key or a client address."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.middleware.client_address import client_name, networks
from serving.middleware.keys import key_of
from serving.middleware.problem import Paths, Problem, Responder, none_of_them, problem_json, refuse

MAX_CLIENTS = 10_000
"""Most clients that are counted at the same time."""


class Buckets:
    """Token buckets by name, in bounded memory.

    A bucket starts with `burst` tokens and gains `rate_per_s` per second. With more than `max_names` buckets, the least
    recently used one is dropped, so its client starts again with a full one.
    """

    def __init__(
        self, rate_per_s: float, burst: float, max_names: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate_per_s, self.burst, self.max_names = rate_per_s, burst, max_names
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (tokens, time of the last update)

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str) -> float:
        """Takes a token and returns 0, or returns the seconds until there is one."""
        now = self._clock()
        tokens, updated = self._buckets.pop(name, (self.burst, now))
        tokens = min(self.burst, tokens + (now - updated) * self.rate_per_s)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self.rate_per_s
        self._buckets[name] = (tokens if wait_s else tokens - 1, now)
        if len(self._buckets) > self.max_names:
            self._buckets.popitem(last=False)
        return wait_s


class RateLimit:
    """Answers 429 with Retry-After to clients that send requests too often.

    Counts by the key that ApiKeys, which runs before it, has stored in the scope, else by the client's address.

    Args:
        app: The next application.
        rate_per_s: Average number of requests per second.
        burst: Most requests at once after a pause; at least 1.
        trusted_proxies: Addresses and networks whose X-Forwarded-For is trusted; none by default.
        exempt: Returns whether a request, such as a health check, is not counted.
        answer: Returns the response of a refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        rate_per_s: float,
        burst: int,
        *,
        trusted_proxies: Sequence[str] = (),
        exempt: Paths = none_of_them,
        answer: Responder = problem_json,
    ) -> None:
        self.app = app
        self.buckets = Buckets(rate_per_s, burst, MAX_CLIENTS)
        self._proxies = networks(trusted_proxies)
        self._exempt = exempt
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on requests within the rate, and refuses others."""
        if scope["type"] != "http" or self._exempt(scope):
            await self.app(scope, receive, send)
            return
        wait_s = self.buckets.take(self._client(scope))
        if not wait_s:
            await self.app(scope, receive, send)
            return
        seconds = max(1, math.ceil(wait_s))
        problem = Problem(429, f"too many requests: try again in {seconds} s", {"Retry-After": str(seconds)})
        await refuse(self._answer, problem, scope, receive, send)

    def _client(self, scope: Scope) -> str:
        key = key_of(scope)
        return f"address {client_name(scope, self._proxies)}" if key is None else f"key {key.id}"
