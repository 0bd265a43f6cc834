"""Encoded bytes to RGB pixels: the right way up, in every colour mode, within limits."""

from __future__ import annotations

import io
import struct
import warnings
from functools import lru_cache

import numpy as np
from PIL import Image, UnidentifiedImageError

from crossmodal.core.errors import PictureError
from crossmodal.core.types import Pixels

MIME_TYPES = {
    "JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp",
    "GIF": "image/gif", "TIFF": "image/tiff", "BMP": "image/bmp", "AVIF": "image/avif",
    "HEIF": "image/heic",
}  # fmt: skip
"""The formats that are accepted, by Pillow's name, with the MIME type each is served as."""

# What Pillow's plugins raise on damaged files; the set is theirs.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, MemoryError, IndexError, RuntimeError, TypeError, KeyError,
    struct.error,
)  # fmt: skip
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What puts a picture of an EXIF orientation upright (EXIF 2.32, tag 0x0112)."""

_READERS = [name for name in MIME_TYPES if name != "MPO"]  # the JPEG reader finds out that it is one

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif"})
"""The file name endings a folder is searched for, in lower case."""

MAX_PIXELS = 100_000_000
"""Pictures of more pixels are refused before they are decoded: 100 MP is 300 MB as RGB."""

MAX_BYTES = 64 * 1024 * 1024


@lru_cache(maxsize=1)
def _register_formats() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    Image.init()


def decode(content: bytes) -> tuple[Image.Image, str]:
    """Decodes the first frame of a picture.

    EXIF orientation is applied. Transparency is laid over white. Palette, greyscale, 16-bit and CMYK
    pictures become 8-bit RGB.

    Args:
        content: The encoded file.

    Returns:
        An RGB picture and its MIME type, told by its content, whatever its name was.

    Raises:
        PictureError: Empty, truncated, of an unsupported kind, or larger than the limits.
    """
    if not content:
        raise PictureError("the file is empty")
    if len(content) > MAX_BYTES:
        raise PictureError(f"{len(content):,} bytes, and the limit is {MAX_BYTES:,}")
    _register_formats()
    try:
        with warnings.catch_warnings():
            # We set our own limit below; Pillow's notes about EXIF and TIFF tags are about metadata only.
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(content), formats=_READERS)
            if picture.width * picture.height > MAX_PIXELS:
                raise PictureError(
                    f"{picture.width} x {picture.height} pixels, and the limit is {MAX_PIXELS:,}: make it smaller"
                )
            mime_type = MIME_TYPES[str(picture.format)]
            picture.load()
            turn = _TURNS.get(_orientation(picture))
            upright = picture if turn is None else picture.transpose(turn)
            return to_rgb(upright), mime_type
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"more pixels than the limit of {MAX_PIXELS:,}: make it smaller") from error
    except UnidentifiedImageError as error:
        raise PictureError(f"not a picture of a known kind ({', '.join(sorted(set(MIME_TYPES.values())))})") from error
    except _DAMAGE as error:
        raise PictureError(f"damaged or truncated: {error}") from error


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none or the EXIF is damaged: that spoils no pixel."""
    try:
        found = picture.getexif().get(_ORIENTATION_TAG, 1)
    except _DAMAGE:
        return 1
    return found if isinstance(found, int) else 1


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any Pillow mode to 8-bit RGB; 16-bit is scaled, not clipped; transparency is laid over white."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, dtype=np.float64)
        wide = picture.mode.startswith("I;16") or (picture.mode == "I" and values.max(initial=0) > 255)
        top = 65535.0 if wide else 255.0
        grey = np.clip(values * (255.0 / top), 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")


def to_pixels(picture: Image.Image) -> Pixels:
    """(height, width, 3) uint8."""
    return np.asarray(picture, dtype=np.uint8)
