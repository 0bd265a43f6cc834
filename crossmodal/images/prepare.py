"""From an encoded file to what is stored and encoded of it: pixels at the model's input size, and a thumbnail."""

from __future__ import annotations

from dataclasses import dataclass

from crossmodal.core.types import Pixels, Preprocessing
from crossmodal.images.containers import jpeg_alone
from crossmodal.images.decode import DecodedAtScale, read_at_scale
from crossmodal.images.geometry import THUMBNAIL_PX, fit, reduction, thumbnail
from crossmodal.metadata.embedded import Embedded, read_embedded

MAX_BYTES_PER_PIXEL = 0.5
"""A small JPEG file with more is encoded again as a thumbnail, which has about 0.3."""


@dataclass(frozen=True)
class Prepared:
    """A picture as a model and the store take it.

    Attributes:
        pixels: (size_px, size_px, 3) uint8, upright sRGB, for `Encoder.encode_images`.
        thumbnail: JPEG of the whole picture, at most `geometry.THUMBNAIL_PX` a side, without metadata; None if it was
            not requested. A JPEG file that is as small is not encoded again.
        width: Width in pixels of the full, upright picture.
        height: Height in pixels of the full, upright picture.
        mime_type: Detected from the content.
        notes: Metadata that was skipped as damaged or too large.
        embedded: What its EXIF and XMP say about it; empty if it was not requested.
    """

    pixels: Pixels
    thumbnail: bytes | None
    width: int
    height: int
    mime_type: str
    notes: tuple[str, ...]
    embedded: Embedded


def prepare(
    content: bytes, preprocessing: Preprocessing, *, with_thumbnail: bool, with_metadata: bool = False
) -> Prepared:
    """The picture at the model's input size, and its thumbnail, from one decoding.

    A picture that is much larger than both is decoded at 1/2, 1/4 or 1/8 of its size (docs/decoding.md). Can be called
    from several threads at once.

    Args:
        content: The encoded file.
        preprocessing: The geometry of the model's input.
        with_thumbnail: Whether to make a thumbnail, which indexing stores.
        with_metadata: Whether to read EXIF and XMP.

    Raises:
        PictureError: The file is empty, truncated, of an unsupported format, or exceeds a limit.
    """
    found = read_at_scale(content, lambda width, height: reduction(width, height, preprocessing))
    width, height = found.reduced.size
    small = (_own_thumbnail(found) or thumbnail(found.reduced)) if with_thumbnail else None
    embedded = read_embedded(*found.blocks) if with_metadata else Embedded()
    pixels, notes = fit(found.reduced, preprocessing), (*found.notes, *embedded.notes)
    return Prepared(pixels, small, width, height, found.mime_type, notes, embedded)


def _own_thumbnail(found: DecodedAtScale) -> bytes:
    """The file itself without metadata, if it is a JPEG of a thumbnail's size; otherwise empty."""
    width, height = found.reduced.size
    is_small = max(width, height) <= THUMBNAIL_PX and len(found.jpeg) <= MAX_BYTES_PER_PIXEL * width * height
    return jpeg_alone(found.jpeg) if is_small else b""
