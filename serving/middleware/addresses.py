"""Addresses: the names the service is asked by, and the pages that may ask."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.middleware.problem import Answer, Problem, problem_json, refuse


class Addresses:
    """Refuses what comes under another name, and what pages of other origins send.

    The first helps against a page whose name was made to point here, the second against one that writes without
    wanting to read the answer: CORS keeps only the answer from it.

    Args:
        app: What is behind it.
        hosts: Names in the Host header, without a port; none for all.
        origins: Origins beside the service's own; none for all.
        answer: Makes the response of a refusal.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str] = (), origins: Collection[str] = (), answer: Answer = problem_json
    ) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)
        self.origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what comes by a name of ours, from a page that may."""
        is_asked = scope["type"] in ("http", "websocket")
        problem = self._problem(Headers(scope=scope)) if is_asked else None
        if problem is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})  # before it is accepted: 403
        else:
            await refuse(self._answer, problem, scope, receive, send)

    def _problem(self, headers: Headers) -> Problem | None:
        host = headers.get("host", "").lower()
        if self.hosts and name_of(host) not in self.hosts:
            return Problem(421, f"{host[:80]!r} is no name of this service: name it with --trust_host")
        origin = headers.get("origin", "").lower()
        is_own = origin.partition("://")[2] == host
        if self.origins and origin and not is_own and origin not in self.origins:
            return Problem(403, f"pages of {origin[:80]!r} may not ask here: name the origin with --trust_origin")
        return None


def name_of(host: str) -> str:
    """A Host header without its port.

    >>> name_of("pictures.test:45678"), name_of("[::1]:80"), name_of("[::1]")
    ('pictures.test', '[::1]', '[::1]')
    """
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() else host
