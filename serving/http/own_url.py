"""The URL of the service, as its clients know it."""

from __future__ import annotations

from starlette.requests import Request


def own_url(request: Request) -> str:
    """The URL at which the client of a request reaches this service, without a slash at its end.

    A reverse proxy that strips a path from requests names it in X-Forwarded-Prefix. A client can forge that, as it can
    forge Host: it changes nothing but the URLs in the answer to that client.
    """
    prefix = request.headers.get("x-forwarded-prefix", "").strip("/")
    return f"{request.base_url}{prefix}".rstrip("/")
