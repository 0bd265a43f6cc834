"""Addresses: checks the host name of requests and the origin of pages that send them."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.middleware.problem import Problem, Responder, problem_json, refuse


class Addresses:
    """Refuses requests for other host names, and requests from pages of other origins.

    The host check prevents DNS rebinding. The origin check prevents pages from writing: CORS only prevents them from
    reading the answer.

    Args:
        app: The next application.
        hosts: Allowed names in the Host header, without a port; empty to allow all.
        origins: Allowed origins besides the service's own; empty to allow all.
        answer: Returns the response of a refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str] = (),
        origins: Collection[str] = (),
        answer: Responder = problem_json,
    ) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)
        self.origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on requests with an allowed host and origin."""
        is_checked = scope["type"] in ("http", "websocket")
        problem = self._problem(Headers(scope=scope)) if is_checked else None
        if problem is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            # The connection is not accepted yet, so the client gets 403.
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            await refuse(self._answer, problem, scope, receive, send)

    def _problem(self, headers: Headers) -> Problem | None:
        host = headers.get("host", "").lower()
        if self.hosts and name_of(host) not in self.hosts:
            return Problem(421, f"{host[:80]!r} is not a host name of this service: add it with --trust_host")
        origin = headers.get("origin", "").lower()
        is_same_origin = origin.partition("://")[2] == host
        if self.origins and origin and not is_same_origin and origin not in self.origins:
            return Problem(
                403, f"pages of {origin[:80]!r} may not use this service: add the origin with --trust_origin"
            )
        return None


def name_of(host: str) -> str:
    """A Host header without its port.

    >>> name_of("pictures.test:45678"), name_of("[::1]:80"), name_of("[::1]")
    ('pictures.test', '[::1]', '[::1]')
    """
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() else host
