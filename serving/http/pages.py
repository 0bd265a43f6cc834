"""The web pages: GET / for browsers, the other pages, and their files."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from crossmodal.core.resources import resource_folder
from serving.middleware.headers import PAGE_POLICY

WEB = resource_folder("web")
OTHER_PAGES = ("map.html", "playground.html", "duplicates.html")

_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # revalidated on each use; 304 if unchanged
}
_HOME = {"service": "cross-modal search", "api": "/openapi.json", "status": "/status", "health": "/healthz"}


class _WebFiles(StaticFiles):
    """The files of the pages, with headers that make browsers revalidate them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def add_page(app: FastAPI) -> None:
    """Adds GET / (the page, or paths as JSON for clients that prefer it), the other pages and the files under /web."""

    @app.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        headers = {**_HEADERS, "Vary": "Accept"}
        if wants_html(request.headers.get("accept", "")):
            return FileResponse(WEB / "index.html", media_type="text/html", headers=headers)
        return JSONResponse(_HOME, headers={"Vary": "Accept"})

    for name in OTHER_PAGES:
        app.add_api_route(f"/{name}", partial(_page, name), include_in_schema=False)
    app.mount("/web", _WebFiles(directory=WEB), name="web")


async def _page(name: str) -> Response:
    return FileResponse(WEB / name, media_type="text/html", headers=_HEADERS)


def wants_html(accept: str) -> bool:
    """Whether a client prefers HTML to JSON, by its Accept header.

    >>> wants_html("text/html,application/xhtml+xml,*/*;q=0.8"), wants_html("*/*"), wants_html("application/json")
    (True, False, False)
    """
    return _quality(accept, "text/html") > _quality(accept, "application/json")


def _quality(accept: str, media_type: str) -> float:
    """The quality value of a media type in an Accept header, 0 if the header does not list it."""
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name == media_type:
            qualities = [p.removeprefix("q=") for p in parameters if p.startswith("q=")]
            try:
                return float(qualities[0]) if qualities else 1.0
            except ValueError:
                return 0.0
    return 0.0
