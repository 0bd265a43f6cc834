"""Decoding of encoded bytes to upright sRGB pixels, with limits on bytes and pixels."""

from __future__ import annotations

import io
import logging
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from crossmodal.core.errors import PictureError
from crossmodal.core.types import Pixels
from crossmodal.images import icc
from crossmodal.images.colour import to_rgb, to_srgb
from crossmodal.images.containers import strip_metadata
from crossmodal.images.encoded import EncodedPicture
from crossmodal.images.formats import EXTENSIONS, FORMATS, MIME_TYPES, PLUGINS, unidentified
from crossmodal.images.libtiff import silence_libtiff
from crossmodal.images.raw import is_raw, open_raw
from crossmodal.images.reduced import ChooseFactor, Reduced

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIME_TYPES",
    "decode",
    "metadata_blocks",
    "read",
    "to_pixels",
    "to_rgb",
]

# Pillow's plugins raise all of these on damaged files.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, MemoryError, IndexError, RuntimeError, TypeError, KeyError,
    ArithmeticError, struct.error,
)  # fmt: skip
_ORIENTATION_TAG = 0x0112

_PILLOWS_WARNINGS = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
"""The filter as `warnings.filterwarnings` adds it."""

MAX_PIXELS = 100_000_000
"""Pictures with more pixels are rejected before decoding: 100 MP are 400 MB as RGB in Pillow."""

MAX_STRETCH = 0.02
"""Largest difference of aspect ratios at which the preview of a RAW file is taken for the whole picture."""

MAX_BYTES = 64 * 1024 * 1024
"""Largest encoded file that is accepted."""


@lru_cache(maxsize=1)
def register_formats() -> None:
    """Loads the modules that read the `FORMATS`. Every `read` calls it; the first call takes longer than a picture."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    for module in PLUGINS:  # if one were missing, Pillow would load all its forty
        import_module(f"PIL.{module}")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # its messages don't name the file
    silence_libtiff()


def _ignore_pillows_warnings() -> None:
    """Ignores the warnings from inside Pillow, which concern the size, checked here, and EXIF and TIFF metadata only.

    The filter stays, since `warnings.catch_warnings` is not thread-safe. It is added again where others have removed it
    or have added theirs before it.
    """
    if list(warnings.filters[:1]) != [_PILLOWS_WARNINGS]:
        warnings.filterwarnings("ignore", module=r"PIL\.")


class Decoded(NamedTuple):
    """An RGB picture, its MIME type, and notes on metadata that was skipped as damaged or too large."""

    picture: Image.Image
    mime_type: str
    notes: tuple[str, ...]


def decode(content: bytes) -> tuple[Image.Image, str]:
    """The picture and MIME type that `read` returns, without the notes."""
    return read(content)[:2]


class MetadataBlocks(NamedTuple):
    """The EXIF block and the XMP packet of a picture, each empty if it has none; of a TIFF file, EXIF is the file."""

    exif: bytes
    xmp: bytes


class DecodedAtScale(NamedTuple):
    """As `Decoded`, with a picture that may be reduced, and its metadata.

    `jpeg` is the file without metadata if it is a JPEG whose samples are those of the picture: grey or RGB, without a
    colour profile, and upright; otherwise it is empty.
    """

    reduced: Reduced
    mime_type: str
    notes: tuple[str, ...]
    blocks: MetadataBlocks
    jpeg: bytes = b""


def read(content: bytes) -> Decoded:
    """Decodes the first frame of a picture to 8-bit sRGB.

    Applies the EXIF orientation. Converts colours by the ICC profile, or by the colour space that PNG, HEIF and AVIF
    state instead; pictures with neither, or in sRGB, keep their samples. Composites transparency over white. Palette,
    greyscale, deep and CMYK pictures become 8-bit RGB as `colour.to_srgb` describes. Damaged or oversized metadata is
    skipped with a note.

    Args:
        content: The encoded file.

    Returns:
        The picture, its MIME type as detected from the content, and the notes.

    Raises:
        PictureError: The file is empty, truncated, of an unsupported format, or exceeds a limit.
    """
    (picture, _, _), mime_type, notes, *_ = read_at_scale(content, lambda width, height: 1)
    return Decoded(picture, mime_type, notes)


def read_at_scale(content: bytes, choose_factor: ChooseFactor) -> DecodedAtScale:
    """As `read`, with the picture reduced by a factor that depends on its stored width and height.

    A JPEG decoder skips the details that the reduction loses. Other formats are decoded whole, and then reduced by
    averaging, if possible before colours are converted.

    Args:
        content: The encoded file.
        choose_factor: Returns the factor; called once, after the limits are checked.

    Raises:
        PictureError: As in `read`.
    """
    with _damage_as_picture_error(content):
        return _read_raw(content, choose_factor) if is_raw(content) else _read(content, choose_factor)


def metadata_blocks(content: bytes) -> MetadataBlocks:
    """The metadata of an encoded picture, which is not decoded.

    Raises:
        PictureError: As in `read`, as far as the start of the file shows it.
    """
    with _damage_as_picture_error(content):
        if is_raw(content):
            return _raw_blocks(content, open_raw(content, MAX_PIXELS, develops=False).preview)
        return _opened(content, strip_metadata(content))[1]


@contextmanager
def _damage_as_picture_error(content: bytes) -> Iterator[None]:
    if not content:
        raise PictureError("the file is empty")
    if len(content) > MAX_BYTES:
        raise PictureError(f"{len(content):,} bytes; the limit is {MAX_BYTES:,}")
    register_formats()
    _ignore_pillows_warnings()
    try:
        yield
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"more pixels than the limit of {MAX_PIXELS:,}: scale it down") from error
    except UnidentifiedImageError as error:
        raise PictureError(unidentified(content)) from error
    except _DAMAGE as error:
        raise PictureError(f"damaged or truncated: {error}") from error


def _opened(content: bytes, encoded: EncodedPicture) -> tuple[Image.Image, MetadataBlocks]:
    """The picture, not decoded, and its metadata."""
    picture: Image.Image = Image.open(io.BytesIO(encoded.content), formats=list(FORMATS))
    picture.info.update(encoded.info)
    exif, xmp = picture.info.get("exif"), picture.info.get("xmp")
    if picture.format == "TIFF":
        exif = content
    return picture, MetadataBlocks(*(block if isinstance(block, bytes) else b"" for block in (exif, xmp)))


def _read(content: bytes, choose_factor: ChooseFactor) -> DecodedAtScale:
    encoded = strip_metadata(content)
    picture, blocks = _opened(content, encoded)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"{width} x {height} pixels; the limit is {MAX_PIXELS:,} in all: scale it down")
    mime_type = MIME_TYPES[str(picture.format)]
    key, low = _transparent_colour(encoded)
    factor = choose_factor(width, height)
    if encoded.is_scalable and factor > 1:
        picture.draft(None, (width // factor, height // factor))
    picture.load()
    if not encoded.is_scalable:
        width, height = picture.size  # loading turns a TIFF picture
    profile, (orientation, exif_note) = _profile(picture, encoded), _orientation(picture)
    has_key = key is not None or "transparency" in picture.info
    if not encoded.is_scalable and factor > 1 and picture.mode in ("L", "RGB") and not has_key:
        picture = picture.reduce(factor)  # before the colours are converted, which takes long
    rgb, profile_note = to_srgb(picture, profile, key, low, encoded.is_grey)
    if rgb.size == (width, height) and factor > 1:
        rgb = rgb.reduce(factor)
    stored = Reduced.of(rgb, (width, height), factor)
    upright = stored.upright(orientation)
    notes = tuple(note for note in (*encoded.notes, exif_note, profile_note) if note)
    is_as_shown = encoded.is_scalable and picture.mode in ("L", "RGB") and not profile and upright is stored
    return DecodedAtScale(upright, mime_type, notes, blocks, encoded.content if is_as_shown else b"")


def _read_raw(content: bytes, choose_factor: ChooseFactor) -> DecodedAtScale:
    """The preview of a RAW file, otherwise its development; with the size and the metadata of the file."""
    found = open_raw(content, MAX_PIXELS)
    if found.developed is None:
        reduced, _, notes, *_ = _read(found.preview, choose_factor)
    else:
        reduced, notes = Reduced.of(found.developed, found.developed.size, 1), ()
    (width, height), (full_width, full_height) = reduced.size, found.size
    if abs(width * full_height - height * full_width) < MAX_STRETCH * width * full_height:  # otherwise it is cropped
        reduced = reduced._replace(size=found.size)
    return DecodedAtScale(reduced, MIME_TYPES["RAW"], notes, _raw_blocks(content, found.preview))


def _raw_blocks(content: bytes, preview: bytes) -> MetadataBlocks:
    """The metadata of a RAW file: its own if it has the structure of TIFF, otherwise that of its preview."""
    if content[:4] in (b"II*\0", b"MM\0*"):
        return MetadataBlocks(content, b"")
    return _opened(preview, strip_metadata(preview))[1] if preview else MetadataBlocks(b"", b"")


def _transparent_colour(encoded: EncodedPicture) -> tuple[int | tuple[int, ...] | None, Image.Image | None]:
    """The samples that mean "transparent" in a PNG file without alpha, scaled as Pillow scales samples.

    Also returns the low bytes of 16-bit RGB, from a second decoding, since Pillow reads the high bytes only.
    """
    key = encoded.transparent
    if not key:
        return None, None
    if len(key) == 1:
        return (key[0] * 255 // (2**encoded.bits - 1) if encoded.bits < 8 else key[0]), None
    if encoded.bits < 16:
        return key, None
    low = Image.open(io.BytesIO(encoded.content), formats=["PNG"])
    low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
    low.load()
    return key, low


def _profile(picture: Image.Image, encoded: EncodedPicture) -> bytes:
    """The embedded ICC profile, or one made from the colour space that the format states; empty for sRGB."""
    embedded = picture.info.get("icc_profile")
    if isinstance(embedded, bytes) and embedded and encoded.cicp is None:
        return embedded
    points = encoded.cicp
    if picture.format == "HEIF":
        points = _code_points(picture.info.get("nclx_profile"))
    elif picture.format == "AVIF":
        at = encoded.content.find(b"colrnclx", 0, 65536)  # Pillow does not report it
        points = struct.unpack_from(">HH", encoded.content, at + 8) if at >= 0 else None
    if points is not None:
        return icc.from_code_points(*points)
    if encoded.gamma:
        return icc.from_gamma(encoded.gamma, encoded.chromaticity, encoded.is_grey)
    return b""


def _code_points(nclx: object) -> tuple[int, int] | None:
    if not isinstance(nclx, dict):
        return None
    return int(nclx.get("color_primaries", 2)), int(nclx.get("transfer_characteristics", 2))


def _orientation(picture: Image.Image) -> tuple[int, str]:
    """The EXIF orientation, 1 (upright) by default, and a note if the EXIF data is damaged."""
    try:
        orientation = picture.getexif().get(_ORIENTATION_TAG, 1)
    except _DAMAGE as error:
        return 1, f"the EXIF is damaged and was not read: {error}"
    return (orientation if isinstance(orientation, int) else 1), ""


def to_pixels(picture: Image.Image) -> Pixels:
    """The pixels of an RGB picture: (height, width, 3) uint8."""
    return np.asarray(picture, dtype=np.uint8)
