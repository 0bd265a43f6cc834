"""RAW files of cameras: the preview that the camera has embedded, otherwise a development at half the size."""

from __future__ import annotations

import io
import struct
from typing import Any, NamedTuple

from PIL import Image

from crossmodal.core.errors import PictureError

LEAST_PREVIEW_PX = 640
"""Least long side of a preview that is used; some files have only a thumbnail of 160 pixels."""

_SIGNATURES = (
    b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FUJIFILMCCD-RAW", b"\0MRM", b"FOVb", b"II\x1a\0\0\0HEAPCCDR",
)  # fmt: skip
"""Panasonic and Leica; Olympus (three); Fujifilm; Minolta; Sigma; Canon CRW."""

_CFA, _LINEAR_RAW = 32803, 34892
_MAKE, _SUB_IFDS, _DNG_VERSION = 271, 330, 50706


class RawPicture(NamedTuple):
    """What is decoded of a RAW file.

    Attributes:
        preview: The embedded JPEG with its orientation in its EXIF; empty if it has none that is large enough.
        developed: The upright picture at half the size; None if there is a preview, or it was not requested.
        size: Width and height of the full, upright picture.
    """

    preview: bytes
    developed: Image.Image | None
    size: tuple[int, int]


def is_raw(content: bytes) -> bool:
    """Whether an encoded file is a RAW file.

    Of files with the structure of TIFF these are DNG, Canon's CR2, and those of a camera whose first directory has
    mosaic samples, or a reduced picture beside subdirectories (TIFF 6.0, TIFF/EP, DNG 1.7).
    """
    if content.startswith(_SIGNATURES) or content[4:12] == b"ftypcrx ":
        return True
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None:
        return False
    if content[8:10] == b"CR":
        return True
    tags = _first_directory(content, order)
    if _DNG_VERSION in tags or tags.get(262) in (_CFA, _LINEAR_RAW):
        return True
    return _MAKE in tags and _SUB_IFDS in tags and tags.get(254) == 1


def _first_directory(content: bytes, order: str) -> dict[int, int]:
    """The tags of the first directory, each with its first value if that is a number stored in the directory."""
    try:
        (start,) = struct.unpack_from(f"{order}I", content, 4)
        (count,) = struct.unpack_from(f"{order}H", content, start)
        entries = [struct.unpack_from(f"{order}HH4x4s", content, start + 2 + 12 * i) for i in range(count)]
    except struct.error:
        return {}
    return {
        tag: struct.unpack(f"{order}H", value[:2])[0] if kind == 3 else struct.unpack(f"{order}I", value)[0]
        for tag, kind, value in entries
    }


def open_raw(content: bytes, max_pixels: int, *, develops: bool = True) -> RawPicture:
    """The preview of a RAW file, otherwise with `develops` its development with the camera's white balance.

    Raises:
        PictureError: The file is damaged, of an unsupported camera, or has more than `max_pixels` pixels.
    """
    try:
        import rawpy
    except ImportError as error:
        raise PictureError("a RAW file, which needs the package rawpy: `pip install rawpy`") from error
    try:
        with rawpy.imread(io.BytesIO(content)) as raw:
            size = _upright_size(raw)
            if size[0] * size[1] > max_pixels:
                raise PictureError(f"{size[0]} x {size[1]} pixels; the limit is {max_pixels:,} in all")
            preview = _preview(raw)
            if preview or not develops:
                return RawPicture(preview, None, size)
            pixels = raw.postprocess(half_size=True, use_camera_wb=True).squeeze()  # grey has one channel
            return RawPicture(b"", Image.fromarray(pixels).convert("RGB"), size)
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf8", "replace") if isinstance(reason, bytes) else str(reason)
        raise PictureError(f"a RAW file that can't be read: {text}") from error


def _upright_size(raw: Any) -> tuple[int, int]:
    sizes = raw.sizes
    is_turned = sizes.flip in (5, 6)  # LibRaw's numbers: by 90 degrees
    return (sizes.height, sizes.width) if is_turned else (sizes.width, sizes.height)


def _preview(raw: Any) -> bytes:
    """The largest embedded JPEG, empty if it is too small; LibRaw adds EXIF with the orientation if it has none."""
    import rawpy

    try:
        found = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return b""
    if found.format != rawpy.ThumbFormat.JPEG:
        return b""
    with Image.open(io.BytesIO(found.data), formats=["JPEG"]) as opened:
        return bytes(found.data) if max(opened.size) >= LEAST_PREVIEW_PX else b""
