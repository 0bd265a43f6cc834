"""The web pages: GET / for browsers, /map.html, and their files."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from crossmodal.core.resources import resource_folder
from serving.middleware.headers import PAGE_POLICY

WEB = resource_folder("web")

_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for again, and answered 304 where it is the same
}
_HOME = {"service": "cross-modal search", "api": "/openapi.json", "status": "/status", "health": "/healthz"}


class _WebFiles(StaticFiles):
    """The files of the pages; browsers check for a new version each time."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def add_page(app: FastAPI) -> None:
    """Serves the page at / to clients that prefer HTML, a list of paths as JSON to others, and its files under /web."""

    @app.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        headers = {**_HEADERS, "Vary": "Accept"}
        if wants_html(request.headers.get("accept", "")):
            return FileResponse(WEB / "index.html", media_type="text/html", headers=headers)
        told: dict[str, Any] = dict(_HOME)
        return JSONResponse(told, headers={"Vary": "Accept"})

    @app.get("/map.html", include_in_schema=False)
    async def map_page() -> Response:
        return FileResponse(WEB / "map.html", media_type="text/html", headers=_HEADERS)

    app.mount("/web", _WebFiles(directory=WEB), name="web")


def wants_html(accept: str) -> bool:
    """Whether a client prefers HTML to JSON, by its Accept header.

    >>> wants_html("text/html,application/xhtml+xml,*/*;q=0.8"), wants_html("*/*"), wants_html("application/json")
    (True, False, False)
    """
    return _quality(accept, "text/html") > _quality(accept, "application/json")


def _quality(accept: str, media_type: str) -> float:
    """The quality of a type that the header names; 0 for others."""
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name == media_type:
            named = [p.removeprefix("q=") for p in parameters if p.startswith("q=")]
            try:
                return float(named[0]) if named else 1.0
            except ValueError:
                return 0.0
    return 0.0
