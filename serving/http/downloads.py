"""POST /download: pictures of the collection, lists of them, a contact sheet, or sidecars, in one file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import InputError, StateError
from crossmodal.metadata.tags import LOCATION_TAGS
from crossmodal.saving.chosen import MOST, chosen
from crossmodal.saving.formats import Format, Saving, parts
from serving.http.errors import PROBLEM, PROBLEMS, ProblemRoute, RefusedError, problem_of
from serving.http.location import without_metadata
from serving.http.own_url import own_url
from serving.middleware.private_location import hides_location

AT_ONCE = 4
"""Most downloads in progress: each holds a place of the service until its client has received it."""
KINDS: dict[Format, tuple[str, str]] = {
    "zip": ("application/zip", "pictures.zip"),
    "csv": ("text/csv; charset=utf-8", "pictures.csv"),
    "json": ("application/json", "pictures.json"),
    "pdf": ("application/pdf", "contact-sheet.pdf"),
    "xmp": ("application/zip", "sidecars.zip"),
}
"""The type and the name of each kind of file."""


class Download(BaseModel):
    """The pictures to save, and how."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ids": ["8f14e45f"], "format": "zip"}]})
    ids: list[str] = Field(min_length=1, max_length=MOST, description=f"ids of pictures, at most {MOST:,}")
    format: Format = Field(
        description="`zip`: originals; `csv` or `json`: a list; `pdf`: a contact sheet; `xmp`: sidecars, in a zip file"
    )
    title: str = Field("Pictures", max_length=500, description="of a contact sheet")
    keywords: list[str] = Field(
        default_factory=list, max_length=100, description="of sidecars, besides the keywords and labels of the picture"
    )
    captions: bool = Field(default=False, description="whether sidecars have the captions as their description")


def add_downloads(app: FastAPI, opened: GenerationCache[Any]) -> None:
    """Adds POST /download."""
    places = threading.Semaphore(AT_ONCE)
    router = APIRouter(route_class=ProblemRoute)
    responses: dict[int | str, dict[str, Any]] = {
        200: {"description": "The file", "content": {kind.partition(";")[0]: {} for kind, _ in KINDS.values()}},
        404: {"description": "There is none of these pictures", "content": PROBLEM},
        503: {"description": "Too many downloads at once", "content": PROBLEM},
    }

    @router.post(
        "/download",
        summary="Pictures, lists of them, a contact sheet or sidecars, in one file",
        response_class=Response,
        responses={**PROBLEMS, **responses},
    )
    def download(body: Download, request: Request) -> Response:
        """A zip file lists in `missing.txt` what is not in it.

        A picture whose original is gone is there as its thumbnail. Clients that may not know where pictures were taken
        get JPEGs without metadata.
        """
        store = opened.current()[1].store
        is_hidden = hides_location(request.scope)
        pictures, unknown = chosen(store, body.ids, LOCATION_TAGS if is_hidden else ())
        if not pictures:
            raise RefusedError(404, f"no picture {unknown[0][:80]}")
        if any(len(word) > 200 for word in body.keywords):
            raise InputError("keywords: each has at most 200 characters")
        base = own_url(request)
        saving = Saving(
            body.format, "link", lambda picture: f"{base}/images/{picture.document.id}", body.title, body.keywords,
            body.captions, without_metadata if is_hidden else None,
        )  # fmt: skip
        if not places.acquire(blocking=False):
            raise RefusedError(503, f"{AT_ONCE} downloads are in progress: try again when one is done")
        return _Held(parts(store, pictures, unknown, saving), body.format, places.release)

    app.include_router(router)


class _Held(StreamingResponse):
    """A file that is sent while it is made; `release` is called when its client has it, or has gone."""

    def __init__(self, content: Iterator[bytes], kind: Format, release: Callable[[], None]) -> None:
        media_type, name = KINDS[kind]
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        super().__init__(content, media_type=media_type, headers=headers)
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except StateError as error:
            problem_of(error)  # logs it; the server closes the connection, so the client knows that the file is cut off
        finally:
            self._release()
