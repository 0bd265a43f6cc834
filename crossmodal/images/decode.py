"""Encoded bytes to RGB pixels: the right way up, of every colour space, within limits."""

from __future__ import annotations

import io
import logging
import struct
import warnings
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from crossmodal.core.errors import PictureError
from crossmodal.core.types import Pixels
from crossmodal.images import icc
from crossmodal.images.colour import to_rgb, to_srgb
from crossmodal.images.containers import Parts, split
from crossmodal.images.libtiff import silence_libtiff

__all__ = ["EXTENSIONS", "FORMATS", "MAX_BYTES", "MAX_PIXELS", "MIME_TYPES", "decode", "read", "to_pixels", "to_rgb"]

FORMATS = {
    "JPEG": ("image/jpeg", ".jpg .jpeg .jpe .jfif .jif .mpo"),
    "PNG": ("image/png", ".png .apng"),
    "WEBP": ("image/webp", ".webp"),
    "GIF": ("image/gif", ".gif"),
    "TIFF": ("image/tiff", ".tif .tiff"),
    "BMP": ("image/bmp", ".bmp"),
    "DIB": ("image/bmp", ".dib"),
    "AVIF": ("image/avif", ".avif .avifs"),
    "HEIF": ("image/heic", ".heic .heif .heics .heifs .hif"),
}
"""The formats that are read, by Pillow's name: the MIME type each is served as, and its file name endings.

A file is told by its content; its ending only says whether a folder's file is looked at."""

MIME_TYPES = {name: mime_type for name, (mime_type, _) in FORMATS.items()}

EXTENSIONS = frozenset(ending for _, endings in FORMATS.values() for ending in endings.split())
"""The file name endings a folder is searched for, in lower case."""

# What Pillow's plugins raise on damaged files; the set is theirs.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, MemoryError, IndexError, RuntimeError, TypeError, KeyError,
    ArithmeticError, struct.error,
)  # fmt: skip
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What puts a picture of an EXIF orientation upright (EXIF 2.32, tag 0x0112)."""

MAX_PIXELS = 100_000_000
"""Pictures of more pixels are refused before they are decoded: 100 MP is 400 MB as RGB in Pillow."""

MAX_BYTES = 64 * 1024 * 1024


@lru_cache(maxsize=1)
def _register_formats() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    Image.init()
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # its messages name no file; ours do
    silence_libtiff()


class Decoded(NamedTuple):
    """An RGB picture, its MIME type, and what was left out of account: damaged or oversized metadata."""

    picture: Image.Image
    mime_type: str
    notes: tuple[str, ...]


def decode(content: bytes) -> tuple[Image.Image, str]:
    """As `read`, without the notes."""
    return read(content)[:2]


def read(content: bytes) -> Decoded:
    """Decodes the first frame of a picture to 8-bit sRGB.

    EXIF orientation is applied. Colours are converted by the picture's profile, or by what PNG, HEIF and AVIF say in
    its place; pictures without either, or of sRGB, keep their samples. Transparency is laid over white. Palette,
    greyscale, deep and CMYK pictures become 8-bit RGB, as `colour.to_srgb` says. Metadata that is damaged or too large
    costs a note, not the picture.

    Args:
        content: The encoded file.

    Returns:
        The picture and its MIME type, told by its content, whatever its name was.

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
            return _read(split(content))
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"more pixels than the limit of {MAX_PIXELS:,}: make it smaller") from error
    except UnidentifiedImageError as error:
        raise PictureError(_unidentified(content)) from error
    except _DAMAGE as error:
        raise PictureError(f"damaged or truncated: {error}") from error


def _read(parts: Parts) -> Decoded:
    picture = Image.open(io.BytesIO(parts.content), formats=list(FORMATS))
    if picture.width * picture.height > MAX_PIXELS:
        raise PictureError(
            f"{picture.width} x {picture.height} pixels, and the limit is {MAX_PIXELS:,}: make it smaller"
        )
    mime_type = MIME_TYPES[str(picture.format)]
    picture.info.update(parts.info)
    key, low = _transparent_colour(parts)
    picture.load()
    orientation, damage = _orientation(picture)
    rgb, unused = to_srgb(picture, _profile(picture, parts), key, low, parts.is_grey)
    upright = rgb.transpose(_TURNS[orientation]) if orientation in _TURNS else rgb
    return Decoded(upright, mime_type, tuple(note for note in (*parts.notes, damage, unused) if note))


def _unidentified(content: bytes) -> str:
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "a TIFF file that is damaged, or of a sample format that is not read: save it as RGB with 8 bits"
    return f"not a picture of a known kind ({', '.join(sorted(set(MIME_TYPES.values())))})"


def _transparent_colour(parts: Parts) -> tuple[int | tuple[int, ...] | None, Image.Image | None]:
    """What means "transparent" in a PNG file without alpha, in the samples Pillow gives.

    Of RGB with 16 bits Pillow gives the high bytes only; a second decoding gets the low ones.
    """
    key = parts.transparent
    if not key:
        return None, None
    if len(key) == 1:
        return (key[0] * 255 // (2**parts.bits - 1) if parts.bits < 8 else key[0]), None
    if parts.bits < 16:
        return key, None
    low = Image.open(io.BytesIO(parts.content), formats=["PNG"])
    low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
    low.load()
    return key, low


def _profile(picture: Image.Image, parts: Parts) -> bytes:
    """The ICC profile of a picture, or one of what its format says in its place; empty for sRGB."""
    own = picture.info.get("icc_profile")
    if isinstance(own, bytes) and own and parts.cicp is None:
        return own
    points = parts.cicp
    if picture.format == "HEIF":
        points = _code_points(picture.info.get("nclx_profile"))
    elif picture.format == "AVIF":
        at = parts.content.find(b"colrnclx", 0, 65536)  # Pillow does not tell it
        points = struct.unpack_from(">HH", parts.content, at + 8) if at >= 0 else None
    if points is not None:
        return icc.from_code_points(*points)
    if parts.gamma:
        return icc.from_gamma(parts.gamma, parts.chromaticity, parts.is_grey)
    return b""


def _code_points(nclx: object) -> tuple[int, int] | None:
    if not isinstance(nclx, dict):
        return None
    return int(nclx.get("color_primaries", 2)), int(nclx.get("transfer_characteristics", 2))


def _orientation(picture: Image.Image) -> tuple[int, str]:
    """The EXIF orientation, 1 (upright) where there is none; and a note where the EXIF is damaged."""
    try:
        found = picture.getexif().get(_ORIENTATION_TAG, 1)
    except _DAMAGE as error:
        return 1, f"the EXIF is damaged and was not read: {error}"
    return (found if isinstance(found, int) else 1), ""


def to_pixels(picture: Image.Image) -> Pixels:
    """(height, width, 3) uint8."""
    return np.asarray(picture, dtype=np.uint8)
