"""The middleware of the service, in order and with their limits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import Scope

from crossmodal.images.decode import MAX_BYTES
from serving import middleware
from serving.config import ServiceConfig

MAX_BODY_BYTES = MAX_BYTES * 4 // 3 + 2**20
"""The largest picture as base64, and a megabyte for the other fields."""
AT_ONCE, WAITING = 32, 96
"""Most requests in progress, enough to keep batches full, and most in the queue; further ones are rejected."""
_PAGES = ("/", "/map.html", "/playground.html", "/duplicates.html", "/favicon.ico", "/docs", "/openapi.json")
OPEN_PATHS = (*_PAGES, "/healthz", "/readyz")
DOCS_FOLDER = "static-offline-docs"
"""Where the files of GET /docs are."""
OPEN_FOLDERS = ("/web/", f"/{DOCS_FOLDER}/")
READING_POSTS = ("/search", "/encode", "/download", "/v1/embeddings", "/playground/try")


def add_access_policy(app: FastAPI, config: ServiceConfig, answer: middleware.Responder) -> None:
    """Adds the configured middleware; `answer` returns the response of a refusal.

    The middleware added last is the outermost.
    """
    if config.private_location:
        app.add_middleware(middleware.PrivateLocation, answer=answer)
    app.add_middleware(
        middleware.ConcurrencyLimit, n_at_once=AT_ONCE, n_waiting=WAITING, exempt=_is_health, answer=answer
    )
    app.add_middleware(middleware.BodyLimit, max_bytes=MAX_BODY_BYTES, answer=answer)
    if config.rate_per_s:
        app.add_middleware(
            middleware.RateLimit,
            rate_per_s=config.rate_per_s,
            burst=max(1, int(2 * config.rate_per_s)),
            trusted_proxies=config.trust_proxy,
            exempt=_is_open,
            answer=answer,
        )
    if config.keys:
        ring = middleware.KeyRing(Path(config.keys))
        app.add_middleware(middleware.ApiKeys, ring=ring, needs=needed, answer=answer)
    origins = config.trust_origin or ["*"]
    app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    if config.trust_host or config.trust_origin:
        app.add_middleware(middleware.Addresses, hosts=config.trust_host, origins=config.trust_origin, answer=answer)
    inner = app.build_middleware_stack
    app.build_middleware_stack = lambda: middleware.SecurityHeaders(inner())  # type: ignore[method-assign]


def needed(scope: Scope) -> Literal["read", "write"] | None:
    """The access that a request needs; None if it needs no key."""
    path, method = scope["path"], scope["method"]
    if method in ("GET", "HEAD") and (path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)):
        return None
    return "read" if method in ("GET", "HEAD") or path in READING_POSTS else "write"


def _is_open(scope: Scope) -> bool:
    """Health checks and the files of the page, which are more than a burst."""
    return needed(scope) is None


def _is_health(scope: Scope) -> bool:
    return scope["path"] in ("/healthz", "/readyz")
