"""Pictures for clients that may not know where they were taken."""

from __future__ import annotations

import io
from threading import Semaphore

from crossmodal.core.ahead import DECODERS
from crossmodal.images.decode import decode

QUALITY = 90
_DECODING = Semaphore(DECODERS)  # a large picture takes 400 MB while it is decoded


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
