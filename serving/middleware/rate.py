"""RateLimit: limits the requests per second of a key or a client address."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.middleware.client_address import client_name, networks
from serving.middleware.keys import key_of
from serving.middleware.problem import Answer, Paths, Problem, none_of_them, problem_json, refuse


class Buckets:
    """Token buckets by name, in bounded memory.

    A bucket holds `burst` tokens at first and gains `rate_per_s` a second. The one that was not used for
    longest is forgotten when there are more than `max_names`, which gives its owner a full one.
    """

    def __init__(
        self, rate_per_s: float, burst: float, max_names: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate_per_s, self.burst, self.max_names = rate_per_s, burst, max_names
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when there were so many

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str) -> float:
        """Takes a token and returns 0, or the seconds until there is one."""
        now = self._clock()
        tokens, then = self._buckets.pop(name, (self.burst, now))
        tokens = min(self.burst, tokens + (now - then) * self.rate_per_s)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self.rate_per_s
        self._buckets[name] = (tokens if wait_s else tokens - 1, now)
        if len(self._buckets) > self.max_names:
            self._buckets.popitem(last=False)
        return wait_s


class RateLimit:
    """Answers 429 with Retry-After to clients that send requests too often.

    It counts by key where ApiKeys, in front of it, has found one, else by the client's address.

    Args:
        app: What is behind it.
        rate_per_s: Requests a second in the long run.
        burst: Requests at once after a pause; at least 1.
        trusted_proxies: Addresses and networks whose X-Forwarded-For is believed; nobody's by default.
        max_clients: How many are remembered.
        exempt: Requests that are not counted, such as health checks.
        answer: Makes the response of a refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        rate_per_s: float,
        burst: int,
        *,
        trusted_proxies: Sequence[str] = (),
        max_clients: int = 10_000,
        exempt: Paths = none_of_them,
        answer: Answer = problem_json,
    ) -> None:
        self.app = app
        self.buckets = Buckets(rate_per_s, burst, max_clients)
        self._proxies = networks(trusted_proxies)
        self._exempt = exempt
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what is within the rate."""
        if scope["type"] != "http" or self._exempt(scope):
            await self.app(scope, receive, send)
            return
        wait_s = self.buckets.take(self._who(scope))
        if not wait_s:
            await self.app(scope, receive, send)
            return
        seconds = max(1, math.ceil(wait_s))
        problem = Problem(429, f"too many requests: try again in {seconds} s", {"Retry-After": str(seconds)})
        await refuse(self._answer, problem, scope, receive, send)

    def _who(self, scope: Scope) -> str:
        key = key_of(scope)
        return f"address {client_name(scope, self._proxies)}" if key is None else f"key {key.id}"
