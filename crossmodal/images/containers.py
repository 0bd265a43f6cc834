"""Encoded files with their metadata taken out, so that a text or a tag can't cost the picture.

Pillow reads metadata as it opens a file and gives the picture up where that fails: a text chunk that inflates to more
than 1 MB, a JPEG segment that is too short, a TIFF tag of the wrong type. So PNG, JPEG, WebP and TIFF files are reduced
to what the pixels need, and the few items that matter to a viewer are read here, within limits. A file whose structure
is not understood is passed on as it is: the decoder judges it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

MAX_ITEM_BYTES = 1024 * 1024
"""Metadata larger than this is left out with a note."""

MAX_PROFILE_BYTES = 4 * 1024 * 1024
"""As `MAX_ITEM_BYTES`, for colour profiles: those of printing presses have 1 MB and more."""

_MAX_INFLATED_BYTES = 32 * 1024 * 1024  # of all items of a file together

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_PNG_COLOURS = {b"tRNS", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"}
_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}

_TIFF_PIXEL_TAGS = frozenset(
    {
        254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 274, 277, 278, 279, 284,  # baseline
        292, 293, 317, 320, 322, 323, 324, 325, 332, 334, 338, 339, 340, 341, 347,  # tiles, samples
        512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532,  # JPEG and YCbCr
        34675, 50674,  # ICC profile, LERC
    }
)  # fmt: skip
_TIFF_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 17: 8, 18: 8}


@dataclass
class Parts:
    """A file as the decoder gets it, and what was read beside the pixels.

    Attributes:
        content: The encoded file without its metadata.
        info: `exif`, `xmp` and `icc_profile`, under Pillow's names for them; only those that were found.
        transparent: The grey level or the three colour values that mean "transparent" in a PNG file without alpha, in
            the file's own depth.
        bits: Bits per sample of a PNG file.
        is_grey: Whether a PNG file has grey samples, with or without alpha.
        gamma: The exponent of encoding (0.45455 and the like) of a PNG file that has no better statement.
        chromaticity: CIE x, y of white, red, green and blue of the same.
        cicp: Code points of primaries and of the transfer function (ITU-T H.273).
        notes: What was left out because it is damaged or too large.
    """

    content: bytes
    info: dict[str, bytes] = field(default_factory=dict)
    transparent: tuple[int, ...] = ()
    bits: int = 0
    is_grey: bool = False
    gamma: float = 0.0
    chromaticity: tuple[float, ...] = ()
    cicp: tuple[int, int] | None = None
    notes: list[str] = field(default_factory=list)

    def keep(self, name: str, value: bytes, limit: int = MAX_ITEM_BYTES) -> None:
        """Keeps an item of metadata, or notes that it is too large."""
        if len(value) > limit:
            self.notes.append(f"the {name.replace('_', ' ')} was not read: more than {limit:,} bytes")
        else:
            self.info.setdefault(name, value)


def split(content: bytes) -> Parts:
    """The parts of an encoded file; of other kinds than PNG, JPEG, WebP and TIFF, the file itself."""
    parts = Parts(content)
    if content.startswith(_PNG):
        _Png(parts).read()
    elif content.startswith(b"\xff\xd8\xff"):
        _jpeg(parts)
    elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        _webp(parts)
    elif content[:4] in _TIFF:
        _tiff(parts)
    return parts


class _Png:
    """Reads the chunks of a PNG file (W3C Recommendation, 3rd edition)."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.content = parts, parts.content
        self.colour_type = -1
        self.seen: dict[bytes, bytes] = {}
        self.left_bytes = _MAX_INFLATED_BYTES

    def read(self) -> None:
        """Fills the parts."""
        view, at = memoryview(self.content), len(_PNG)
        kept = [view[:at]]
        while at + 12 <= len(view):
            length, kind = struct.unpack_from(">I4s", view, at)
            end = at + 12 + length
            if end > len(view) and kind.isalpha() and kind[:1].islower():
                self.parts.notes.append(f"the chunk {kind.decode()} is cut off and was not read")
                at = len(view)
                break
            if end > len(view) or not kind.isalpha():
                break  # cut off or no PNG: the decoder says so
            if kind[:1].isupper():
                kept.append(view[at:end])
                if kind == b"IHDR" and length == 13:
                    self.parts.bits, self.colour_type = view[at + 16], view[at + 17]
            elif zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", view, end - 4)[0]:
                self.parts.notes.append(f"the chunk {kind.decode()} is damaged and was not read")
            elif kind == b"tRNS" and self.colour_type == 3:
                kept.append(view[at:end])
            else:
                self._ancillary(kind, view[at + 8 : end - 4])
            at = len(view) if kind == b"IEND" else end
        kept.append(view[at:])
        if sum(map(len, kept)) < len(view):
            self.parts.content = b"".join(kept)
        self.parts.is_grey = self.colour_type in (0, 4)
        self._colour()

    def _ancillary(self, kind: bytes, body: memoryview) -> None:
        if kind in _PNG_TEXTS:
            self._text(kind, bytes(body))
        elif kind == b"eXIf":
            self.parts.keep("exif", b"Exif\0\0" + body)
        elif kind in _PNG_COLOURS and len(body) <= MAX_PROFILE_BYTES:
            self.seen.setdefault(kind, bytes(body))

    def _colour(self) -> None:
        """What the samples mean: of several statements the one that the standard puts first."""
        parts, seen = self.parts, self.seen
        key = seen.get(b"tRNS", b"")
        n_samples = {0: 1, 2: 3}.get(self.colour_type, 0)
        if n_samples and len(key) >= 2 * n_samples:
            parts.transparent = tuple(v & (2**parts.bits - 1) for v in struct.unpack_from(f">{n_samples}H", key))
        if len(seen.get(b"cICP", b"")) == 4:
            parts.cicp = (seen[b"cICP"][0], seen[b"cICP"][1])
        elif b"iCCP" in seen:
            _, _, packed = seen[b"iCCP"].partition(b"\0")
            profile = self._inflated("colour profile", packed[1:], MAX_PROFILE_BYTES)
            if profile is not None:
                parts.info["icc_profile"] = profile
        elif b"sRGB" not in seen and len(seen.get(b"gAMA", b"")) == 4:
            parts.gamma = struct.unpack(">I", seen[b"gAMA"])[0] / 1e5
            if len(seen.get(b"cHRM", b"")) == 32:
                parts.chromaticity = tuple(v / 1e5 for v in struct.unpack(">8I", seen[b"cHRM"]))

    def _text(self, kind: bytes, body: bytes) -> None:
        """Keeps the XMP packet, which may say which way is up; of other texts only the size is looked at."""
        keyword, _, rest = body.partition(b"\0")
        is_packed = kind == b"zTXt"
        if kind == b"iTXt" and len(rest) >= 2:
            is_packed = rest[0] == 1
            rest = rest[2:].split(b"\0", 2)[-1]
        elif is_packed:
            rest = rest[1:]
        name = f"text {keyword[:79].decode('latin-1')!r}"
        value = self._inflated(name, rest, MAX_ITEM_BYTES) if is_packed else rest
        if value is None:
            return
        if keyword == b"XML:com.adobe.xmp":
            self.parts.keep("xmp", value)
        elif len(value) > MAX_ITEM_BYTES:
            self.parts.notes.append(f"the {name} was not read: more than {MAX_ITEM_BYTES:,} bytes")
        elif keyword == b"Raw profile type exif":
            self._raw_exif(value)

    def _raw_exif(self, value: bytes) -> None:
        """EXIF in hexadecimal, as ImageMagick has written it: a line break, a name, a length, and the digits."""
        try:
            self.parts.keep("exif", bytes.fromhex("".join(value.decode("ascii").split("\n")[3:])))
        except ValueError:
            self.parts.notes.append("the EXIF text is damaged and was not read")

    def _inflated(self, name: str, packed: bytes, limit: int) -> bytes | None:
        limit = min(limit, self.left_bytes)
        inflater = zlib.decompressobj()
        try:
            value = inflater.decompress(packed, limit) if limit else b""
        except zlib.error:
            value = b""
        self.left_bytes -= len(value)
        if inflater.eof:
            return value
        why = f"was not read: more than {limit:,} bytes" if len(value) == limit else "is damaged and was not read"
        self.parts.notes.append(f"the {name} {why}")
        return None


def _jpeg(parts: Parts) -> None:
    """Keeps the tables and frames (ITU-T T.81) before the scan, and the segments that tell colours: JFIF, Adobe."""
    view, at = memoryview(parts.content), 2
    kept = [view[:2]]
    profile: list[bytes] = []
    while 0 <= (at := parts.content.find(b"\xff", at)) <= len(view) - 4:  # decoders pass over what is between segments
        marker = view[at + 1]
        if marker in (0x00, 0xFF):  # padding
            at += 1
            continue
        end = at + 2 + int.from_bytes(view[at + 2 : at + 4], "big")
        if marker < 0xC0 or 0xD0 <= marker <= 0xDA or end < at + 4 or end > len(view):
            break  # the scan, or nothing known
        if 0xE0 <= marker <= 0xEF:
            body = bytes(view[at + 4 : end])
            if _jpeg_application(parts, marker, body, profile):
                kept.append(view[at:end])
        elif marker != 0xFE:  # a comment
            kept.append(view[at:end])
        at = end
    kept.append(view[at:] if at >= 0 else view[:0])
    if profile:
        pieces = {body[12]: body[14:] for body in reversed(profile) if len(body) >= 14}
        if sorted(pieces) == list(range(1, len(pieces) + 1)):
            parts.keep("icc_profile", b"".join(pieces[place] for place in sorted(pieces)), MAX_PROFILE_BYTES)
        else:
            parts.notes.append("the colour profile is incomplete and was not read")
    if sum(map(len, kept)) < len(view):
        parts.content = b"".join(kept)


def _jpeg_application(parts: Parts, marker: int, body: bytes, profile: list[bytes]) -> bool:
    """Takes what is of use from an application's segment; whether the decoder needs the segment itself."""
    if (marker == 0xE0 and body.startswith(b"JFIF\0")) or (marker == 0xEE and body.startswith(b"Adobe")):
        if len(body) >= 12:
            return True
        parts.notes.append(f"the segment {body[:5].rstrip(bytes(1)).decode()} is damaged and was not read")
    elif marker == 0xE1 and body.startswith(b"Exif\0"):
        parts.keep("exif", body)
    elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        parts.keep("xmp", body.partition(b"\0")[2])
    elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
        profile.append(body)
    return False


_WEBP_METADATA = {b"EXIF": "exif", b"XMP ": "xmp", b"ICCP": "icc_profile"}
_WEBP_METADATA_FLAGS = 0x08 | 0x04 | 0x20


def _webp(parts: Parts) -> None:
    """Keeps the chunks of the pixels (RFC 9649)."""
    view, at = memoryview(parts.content), 12
    kept: list[bytes | memoryview] = []
    has_metadata = False
    while at + 8 <= len(view):
        kind, size = struct.unpack_from("<4sI", view, at)
        end = at + 8 + size + size % 2
        if kind in _WEBP_METADATA:
            has_metadata = True
            name, limit = _WEBP_METADATA[kind], MAX_PROFILE_BYTES if kind == b"ICCP" else MAX_ITEM_BYTES
            if at + 8 + size > len(view):
                parts.notes.append(f"the {name.replace('_', ' ')} is cut off and was not read")
            else:
                parts.keep(name, bytes(view[at + 8 : at + 8 + size]), limit)
        elif at + 8 + size > len(view):
            return  # the pixels are cut off: the decoder says so
        elif kind == b"VP8X" and size:
            kept += [view[at : at + 8], bytes([view[at + 8] & ~_WEBP_METADATA_FLAGS]), view[at + 9 : end]]
        else:
            kept.append(view[at:end])
        at = end
    if has_metadata:
        body = b"WEBP" + b"".join(kept)
        parts.content = b"RIFF" + struct.pack("<I", len(body)) + body


def _tiff(parts: Parts) -> None:
    """Puts a directory at the end that has only the tags the pixels of the first picture need (TIFF 6.0)."""
    content = parts.content
    order = _TIFF[content[:4]]
    is_big = content[2:4] in (b"+\0", b"\0+")
    at, count_form, entry, offset_form = (8, "Q", 20, "Q") if is_big else (4, "H", 12, "I")
    try:
        (start,) = struct.unpack_from(order + offset_form, content, at)
        (count,) = struct.unpack_from(order + count_form, content, start)
    except struct.error:
        return
    start += struct.calcsize(count_form)
    if start + count * entry > len(content):
        return
    entries = [content[i : i + entry] for i in range(start, start + count * entry, entry)]
    kept = [one for one in entries if _is_kept(parts, one, order, is_big)]
    if len(kept) == count:
        return
    padding = b"\0" * (-len(content) % 8)
    directory = struct.pack(order + count_form, len(kept)) + b"".join(kept) + struct.pack(order + offset_form, 0)
    place = struct.pack(order + offset_form, len(content) + len(padding))
    parts.content = b"".join((content[:at], place, content[at + len(place) :], padding, directory))


def _is_kept(parts: Parts, entry: bytes, order: str, is_big: bool) -> bool:
    tag, kind, count = struct.unpack_from(order + ("HHQ" if is_big else "HHI"), entry)
    if tag not in _TIFF_PIXEL_TAGS:
        return False
    n_bytes = count * _TIFF_TYPE_BYTES.get(kind, 1)
    if tag == 34675 and n_bytes > MAX_PROFILE_BYTES:
        parts.notes.append(f"the colour profile was not read: more than {MAX_PROFILE_BYTES:,} bytes")
        return False
    return True
