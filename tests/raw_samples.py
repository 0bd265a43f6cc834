"""RAW files that are written here: DNG with a mosaic of red, green and blue, and perhaps a preview."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

_FORMS = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 7: "B", 10: "ii"}
Entry = tuple[int, int, bytes, int]
"""Tag, type, value, count."""


def jpeg(size: tuple[int, int], orientation: int | None = None, colour: tuple[int, int, int] = (40, 200, 60)) -> bytes:
    """A JPEG of one colour, its upper left quarter white."""
    picture = Image.new("RGB", size, colour)
    picture.paste((255, 255, 255), (0, 0, size[0] // 2, size[1] // 2))
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    file = BytesIO()
    if orientation is None:
        picture.save(file, "JPEG", quality=95)
        return file.getvalue()
    picture.save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()[:2] + file.getvalue()[20:]  # without JFIF, as cameras write it


def dng(size: tuple[int, int], preview: bytes = b"", orientation: int = 1, *, is_grey: bool = False) -> bytes:
    """A DNG file of a red picture, its upper left quarter dark, with a thumbnail of 16 x 16 pixels.

    Args:
        size: Width and height of the mosaic.
        preview: A JPEG that is embedded as the preview.
        orientation: The EXIF orientation of the file.
        is_grey: Whether the camera has no colour filters.
    """
    width, height = size
    mosaic = np.full((height, width), 600, np.uint16)
    mosaic[0::2, 0::2] = 12_000  # red
    mosaic[: height // 2, : width // 2] = 600
    data = [bytes(16 * 16 * 3), mosaic.tobytes(), preview]
    starts, at = [], 8
    for part in data:
        starts.append(at)
        at += len(part) + len(part) % 2
    raw = [
        _entry(254, 4, 0), _entry(256, 4, width), _entry(257, 4, height), _entry(258, 3, 16), _entry(259, 3, 1),
        _entry(262, 3, 34892 if is_grey else 32803), _entry(273, 4, starts[1]), _entry(277, 3, 1),
        _entry(278, 4, height), _entry(279, 4, len(data[1])), _entry(284, 3, 1), _entry(50714, 4, 0),
        _entry(50717, 4, 16_383),
    ]  # fmt: skip
    if not is_grey:
        raw = sorted([*raw, _entry(33421, 3, 2, 2), _entry(33422, 1, 0, 1, 1, 2)])
    sub = [raw]
    if preview:
        with Image.open(BytesIO(preview)) as opened:
            wide, high = opened.size
        sub.append([
            _entry(254, 4, 1), _entry(256, 4, wide), _entry(257, 4, high), _entry(258, 3, 8, 8, 8), _entry(259, 3, 7),
            _entry(262, 3, 6), _entry(273, 4, starts[2]), _entry(277, 3, 3), _entry(278, 4, high),
            _entry(279, 4, len(preview)),
        ])  # fmt: skip
    places = []
    body = b"".join(part + bytes(len(part) % 2) for part in data)
    for directory in sub:
        places.append(8 + len(body))
        body += _directory(directory, places[-1])
    identity = [1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1]
    first = [
        _entry(254, 4, 1), _entry(256, 4, 16), _entry(257, 4, 16), _entry(258, 3, 8, 8, 8), _entry(259, 3, 1),
        _entry(262, 3, 2), _text(271, "Test"), _text(272, "Camera"), _entry(273, 4, starts[0]),
        _entry(274, 3, orientation), _entry(277, 3, 3), _entry(278, 4, 16), _entry(279, 4, len(data[0])),
        _entry(284, 3, 1), _entry(330, 4, *places), _text(306, "2024:05:01 10:11:12"), _entry(50706, 1, 1, 4, 0, 0),
        _text(50708, "Test Camera"), _entry(50721, 10, *identity), _entry(50728, 5, 1, 1, 1, 1, 1, 1),
        _entry(50778, 3, 21),
    ]  # fmt: skip
    place = 8 + len(body)
    return b"II*\0" + struct.pack("<I", place) + body + _directory(sorted(first), place)


def _entry(tag: int, kind: int, *values: int) -> Entry:
    form = _FORMS[kind]
    return tag, kind, struct.pack(f"<{len(values)}{form[0]}", *values), len(values) // len(form)


def _text(tag: int, text: str) -> Entry:
    return tag, 2, text.encode() + b"\0", len(text) + 1


def _directory(entries: Sequence[Entry], place: int) -> bytes:
    """A TIFF directory at a place of the file, with the long values after it."""
    fields, values, at = b"", b"", place + 2 + 12 * len(entries) + 4
    for tag, kind, value, count in entries:
        if len(value) > 4:
            fields += struct.pack("<HHII", tag, kind, count, at + len(values))
            values += value + bytes(len(value) % 2)
        else:
            fields += struct.pack("<HHI4s", tag, kind, count, value)
    return struct.pack("<H", len(entries)) + fields + bytes(4) + values
