"""The URL of the service, as its clients know it."""

from __future__ import annotations

from starlette.requests import Request


def own_url(request: Request) -> str:
    """The URL at which the client of a request reaches this service, without a slash at its end.

    A reverse proxy names its scheme and host in X-Forwarded-Proto and X-Forwarded-Host, and a path that it strips from
    requests in X-Forwarded-Prefix. A client can forge these, as it can forge Host: they change nothing but the URLs in
    the answer to that client.
    """
    base = request.base_url
    scheme = _forwarded(request, "proto")
    host = _forwarded(request, "host") or base.netloc
    prefix = _forwarded(request, "prefix").strip("/")
    return f"{scheme if scheme in ('http', 'https') else base.scheme}://{host}{base.path}{prefix}".rstrip("/")


def forwarded(request: Request) -> dict[str, str]:
    """The headers that tell another service of `own_url`, for an answer to the client of this request."""
    scheme, _, rest = own_url(request).partition("://")
    host, _, prefix = rest.partition("/")
    return {"x-forwarded-proto": scheme, "x-forwarded-host": host, "x-forwarded-prefix": prefix}


def _forwarded(request: Request, name: str) -> str:
    """The value of a header that the first proxy has set; each further one may have added its own behind a comma."""
    return request.headers.get(f"x-forwarded-{name}", "").partition(",")[0].strip()
