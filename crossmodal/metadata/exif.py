"""Reads the EXIF tags that describe when, where and with what a picture was taken.

Only these tags are read, each by itself, so that damage elsewhere, such as a maker note that is cut short, costs none
of them. Source: CIPA DC-008 (Exif 3.0), TIFF 6.0.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

Rational = tuple[int, int]
Value = str | bytes | tuple[int, ...] | tuple[Rational, ...]

_EXIF_POINTER, _GPS_POINTER = 0x8769, 0x8825
_MAIN = {
    0x010F: "Make",
    0x0110: "Model",
    0x0132: "DateTime",
    0x02BC: "XMP",  # in TIFF files
    0x4746: "Rating",
    0x9C9B: "XPTitle",
    0x9C9E: "XPKeywords",
    _EXIF_POINTER: "Exif",
    _GPS_POINTER: "GPS",
}
_EXIF = {
    0x9003: "DateTimeOriginal",
    0x9004: "DateTimeDigitized",
    0x9010: "OffsetTime",
    0x9011: "OffsetTimeOriginal",
    0x9012: "OffsetTimeDigitized",
    0xA433: "LensMake",
    0xA434: "LensModel",
}
_GPS = {1: "GPSLatitudeRef", 2: "GPSLatitude", 3: "GPSLongitudeRef", 4: "GPSLongitude"}

_ASCII, _UTF8 = 2, 129
_FORMS = {1: "B", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 13: "I"}
_BYTES = {1, 6, 7}
MAX_VALUE_BYTES = 1024 * 1024
"""A longer text or block is not read."""
MAX_NUMBERS_BYTES = 1024
"""Longer lists of numbers are not read; as Python objects they would take many times their size."""


class Exif(NamedTuple):
    """The tags that were found, by their names in the standard, and whether some of those read are damaged.

    A text has no trailing zero bytes, bytes are `bytes`, and numbers are tuples; a rational is (numerator,
    denominator).
    """

    tags: Mapping[str, Value] = MappingProxyType({})
    is_damaged: bool = False


def read_exif(block: bytes) -> Exif:
    """The tags of an EXIF block, with or without the marker `Exif` before it, or of a TIFF file."""
    start = 0
    while block.startswith(b"Exif\0", start):
        start += 6
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[start : start + 4])
    if order is None:
        return Exif(is_damaged=bool(block) and block[start + 2 : start + 4] not in (b"+\0", b"\0+"))  # BigTIFF
    reader = _Reader(memoryview(block)[start:], order)
    tags = reader.directory(reader.number(4), _MAIN)
    for pointer, names in (("Exif", _EXIF), ("GPS", _GPS)):
        match tags.pop(pointer, None):
            case (int(at), *_) if at:
                tags |= reader.directory(at, names)
    return Exif(tags, reader.is_damaged)


class _Reader:
    def __init__(self, block: memoryview, order: str) -> None:
        self._block, self._order = block, order
        self.is_damaged = False

    def number(self, at: int) -> int:
        """The 32-bit number at an offset; 0 if the block ends before."""
        return int(struct.unpack_from(f"{self._order}I", self._block, at)[0]) if at + 4 <= len(self._block) else 0

    def directory(self, at: int, names: Mapping[int, str]) -> dict[str, Value]:
        """The tags of a directory that have a name, as far as they are whole."""
        found: dict[str, Value] = {}
        if not 8 <= at <= len(self._block) - 2:
            self.is_damaged = True
            return found
        (count,) = struct.unpack_from(f"{self._order}H", self._block, at)
        fitting = (len(self._block) - at - 2) // 12
        self.is_damaged |= count > fitting
        for entry in range(at + 2, at + 2 + 12 * min(count, fitting), 12):
            tag, kind, n = struct.unpack_from(f"{self._order}HHI", self._block, entry)
            if tag in names and names[tag] not in found:
                value = self._value(kind, n, entry + 8)
                self.is_damaged |= value is None
                if value is not None:
                    found[names[tag]] = value
        return found

    def _value(self, kind: int, n: int, at: int) -> Value | None:
        """The value of an entry, None if it is damaged."""
        if not n:
            return ""
        form = "B" if kind in (_ASCII, _UTF8) else _FORMS.get(kind, "")
        size = n * struct.calcsize(f"={form}")
        if not 0 < size <= (MAX_VALUE_BYTES if form == "B" else MAX_NUMBERS_BYTES):
            return None
        if size > 4:
            at = self.number(at)
        if at + size > len(self._block):
            return None
        if form == "B":
            content = bytes(self._block[at : at + size])
            return _text(content) if kind in (_ASCII, _UTF8) else content if kind in _BYTES else None
        numbers = struct.unpack_from(f"{self._order}{n * len(form)}{form[0]}", self._block, at)
        return tuple(zip(numbers[::2], numbers[1::2], strict=True)) if len(form) == 2 else numbers


def _text(content: bytes) -> str:
    """The text up to its first zero byte, in UTF-8, or in Latin-1 if it is not valid UTF-8."""
    content = content.partition(b"\0")[0]
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")
