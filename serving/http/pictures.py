"""The pictures of the collection and their thumbnails."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import PictureError
from crossmodal.core.types import Document
from crossmodal.images.decode import MIME_TYPES
from crossmodal.saving.chosen import original
from crossmodal.store.protocol import Store
from serving.http import legacy
from serving.http.errors import PROBLEM, PROBLEMS, ProblemRoute, RefusedError
from serving.http.location import without_metadata
from serving.http.own_url import own_url
from serving.http.url_pictures import PictureReader
from serving.middleware.private_location import hides_location

SERVED_TYPES = frozenset(MIME_TYPES.values())


def add_pictures(app: FastAPI, opened: GenerationCache[Any], *, private_location: bool) -> None:
    """Adds GET /images/{id} and GET /thumbnails/{id}.

    With `private_location`, clients without a key get the picture without metadata, as JPEG.
    """
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
        "Cache-Control": f"{'private' if private_location else 'public'}, max-age=31536000, immutable",
    }

    image_responses: dict[int | str, dict[str, Any]] = {
        200: {"description": "The picture", "content": {kind: {} for kind in sorted(SERVED_TYPES)}},
        410: {
            "description": "The file of the picture is gone, has changed or is in an object store",
            "content": PROBLEM,
        },
    }
    router = APIRouter(route_class=ProblemRoute)

    @router.get(
        "/images/{picture_id}",
        summary="A picture as it was indexed",
        response_class=Response,
        responses={**PROBLEMS, **image_responses},
    )
    def image(picture_id: str, request: Request) -> Response:
        document, content = _content_of(opened.current()[1].store, picture_id)
        if hides_location(request.scope):
            return Response(without_metadata(content), media_type="image/jpeg", headers=headers)
        return Response(content, media_type=document.mime_type, headers=headers)

    thumbnail_responses: dict[int | str, dict[str, Any]] = {
        200: {"description": "The thumbnail", "content": {"image/jpeg": {}}}
    }

    @router.get(
        "/thumbnails/{picture_id}",
        summary="A thumbnail of a picture, as JPEG",
        response_class=Response,
        responses={**PROBLEMS, **thumbnail_responses},
    )
    def thumbnail(picture_id: str) -> Response:
        jpeg = opened.current()[1].store.thumbnail(picture_id)
        if jpeg is None:
            raise RefusedError(404, f"no picture {picture_id[:80]}")
        return Response(jpeg, media_type="image/jpeg", headers=headers)

    app.include_router(router)


def _content_of(store: Store, picture_id: str) -> tuple[Document, bytes]:
    """The stored document and the file content of a picture.

    Raises:
        RefusedError: There is no such picture (404), or its file is gone, has changed or is in an object store (410).
    """
    document = store.document(picture_id)
    if document is None or document.modality != "image":
        raise RefusedError(404, f"no picture {picture_id[:80]}")
    if document.mime_type not in SERVED_TYPES:
        raise RefusedError(404, f"picture {picture_id} has a type that is not served")
    try:
        content = original(store, document)
    except PictureError as error:
        raise RefusedError(410, f"the file of picture {picture_id} {error}") from error
    return document, content


def own_pictures(request: Request, store: Store) -> PictureReader:
    """Returns a function that reads the picture behind a URL of this service.

    Jina Box sends such a URL when a user clicks on a result. The function returns None for other URLs, and raises
    PictureError if the picture does not exist or its file has changed.
    """
    base_url = own_url(request)

    def read(url: str) -> bytes | None:
        name = legacy.own_picture(url, base_url)
        try:
            return _content_of(store, name)[1] if name else None
        except RefusedError as error:
            raise PictureError(str(error)) from error

    return read
