"""For clients that may not know where pictures were taken: no conditions on it, and pictures without metadata."""

from __future__ import annotations

import io
from threading import Semaphore

from fastapi import Request

from crossmodal.core.ahead import DECODERS
from crossmodal.images.decode import decode
from crossmodal.store.where import parse
from serving.http.errors import RefusedError
from serving.middleware.private_location import REFUSAL, hides_location, names_location

QUALITY = 90
_DECODING = Semaphore(DECODERS)  # a large picture takes 400 MB while it is decoded


def check_condition(request: Request, where: str) -> None:
    """Checks a condition of a request's body; an empty one is none.

    Raises:
        RefusedError: It depends on the location, which the client may not know.
        InputError: It is malformed.
    """
    if where and hides_location(request.scope) and names_location(parse(where)):
        raise RefusedError(REFUSAL.status, REFUSAL.detail)


def without_metadata(content: bytes) -> bytes:
    """A picture as JPEG without any metadata, upright and in sRGB.

    It is encoded again, because locations are not only in EXIF and XMP, but also in maker notes, in texts, and in the
    video after the end of a moving picture.

    Raises:
        PictureError: The picture can't be decoded.
    """
    buffer = io.BytesIO()
    with _DECODING:
        picture, _ = decode(content)
        picture.info.clear()
        picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
