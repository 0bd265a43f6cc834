"""The middleware of the service, put up in their order and with their limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import Scope

from crossmodal.images.decode import MAX_BYTES
from serving import middleware
from serving.http import legacy

MAX_BODY_BYTES = MAX_BYTES * 4 // 3 + 2**20
"""The largest picture as base64, and what is said beside it."""
AT_ONCE, WAITING = 32, 96
"""Requests in work at a time, which keeps batches full, and in line for it; more are shed."""
OPEN_PATHS = ("/", "/map.html", "/healthz", "/readyz", "/favicon.ico")
OPEN_FOLDERS = ("/web/",)
READING_POSTS = ("/search", "/encode")
LEGACY_PATHS = ("/search", "/index")


@dataclass(frozen=True)
class AccessPolicy:
    """Who is let in; all of it may be left out.

    `keys` is the file of API keys; without one, everybody may do what the service does. `rate_per_s` is for
    each key, else for each address; 0 is no limit. `proxies` are those whose X-Forwarded-For is believed,
    `hosts` the names the service is asked by, and `origins` those whose pages may ask; none is for all.
    """

    keys: str = ""
    rate_per_s: float = 0.0
    proxies: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether keys or rates are looked at. WebSocket passes these middleware, so it is not offered then."""
        return bool(self.keys or self.rate_per_s)

    def put_up(self, app: FastAPI) -> None:
        """Adds the middleware; the refusals of the routes that answer old clients have the legacy shape."""

        def answer(scope: Scope, problem: middleware.Problem) -> Response:
            if scope["path"] not in LEGACY_PATHS:
                return middleware.problem_json(scope, problem)
            return JSONResponse(legacy.failure(problem.detail, legacy.root_of(scope["path"])), problem.status)

        # What is added last stands outermost.
        app.add_middleware(
            middleware.ConcurrencyLimit, n_at_once=AT_ONCE, n_waiting=WAITING, exempt=_is_health, answer=answer
        )
        app.add_middleware(middleware.BodyLimit, max_bytes=MAX_BODY_BYTES, answer=answer)
        if self.rate_per_s:
            app.add_middleware(
                middleware.RateLimit,
                rate_per_s=self.rate_per_s,
                burst=max(1, int(2 * self.rate_per_s)),
                trusted_proxies=self.proxies,
                exempt=_is_health,
                answer=answer,
            )
        if self.keys:
            app.add_middleware(
                middleware.ApiKeys, ring=middleware.KeyRing(Path(self.keys)), needs=needed, answer=answer
            )
        origins = self.origins or ["*"]
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
        if self.hosts or self.origins:
            app.add_middleware(middleware.Addresses, hosts=self.hosts, origins=self.origins, answer=answer)
        inner = app.build_middleware_stack
        app.build_middleware_stack = lambda: middleware.SecurityHeaders(inner())  # type: ignore[method-assign]


def needed(scope: Scope) -> Literal["read", "write"] | None:
    """What a request must be allowed to do; None where anybody may ask."""
    path, method = scope["path"], scope["method"]
    if method in ("GET", "HEAD") and (path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)):
        return None
    return "read" if method in ("GET", "HEAD") or path in READING_POSTS else "write"


def _is_health(scope: Scope) -> bool:
    return scope["path"] in ("/healthz", "/readyz")
