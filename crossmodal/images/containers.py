"""Removes metadata from encoded files, so that a damaged text or tag can't make a picture unreadable.

Pillow parses metadata when it opens a file and rejects the picture if that fails: for a text chunk that inflates to
more than 1 MB, a JPEG segment that is too short, or a TIFF tag of the wrong type. So PNG, JPEG, WebP and TIFF files are
reduced to what the pixels need, and the few items that affect the display are read here, within limits. A file whose
structure is not recognised is passed on unchanged; the decoder reports its errors.
"""

from __future__ import annotations

import re
import struct

from crossmodal.images import png
from crossmodal.images.encoded import MAX_ITEM_BYTES, MAX_PROFILE_BYTES, EncodedPicture

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


def strip_metadata(content: bytes) -> EncodedPicture:
    """The encoded picture without metadata; formats other than PNG, JPEG, WebP and TIFF stay unchanged."""
    encoded = EncodedPicture(content)
    if content.startswith(png.SIGNATURE):
        png.PngReader(encoded).read()
    elif content.startswith(b"\xff\xd8\xff"):
        _jpeg(encoded)
    elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        _webp(encoded)
    elif content[:4] in _TIFF:
        _tiff(encoded)
    return encoded


_DCT_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # not lossless frames


def _jpeg(encoded: EncodedPicture) -> None:
    """Keeps the tables and frames before the scan (ITU-T T.81) and the segments that define colours: JFIF, Adobe."""
    view, at = memoryview(encoded.content), 2
    kept = [view[:2]]
    profile: list[bytes] = []
    while 0 <= (at := encoded.content.find(b"\xff", at)) <= len(view) - 4:  # decoders skip bytes between segments
        marker = view[at + 1]
        if marker in (0x00, 0xFF):  # padding
            at += 1
            continue
        end = at + 2 + int.from_bytes(view[at + 2 : at + 4], "big")
        if marker < 0xC0 or 0xD0 <= marker <= 0xDA or end < at + 4 or end > len(view):
            break  # the scan, or an unknown structure
        if 0xE0 <= marker <= 0xEF:
            body = bytes(view[at + 4 : end])
            if _jpeg_application(encoded, marker, body, profile):
                kept.append(view[at:end])
        elif marker != 0xFE:  # a comment
            kept.append(view[at:end])
            encoded.is_scalable |= marker in _DCT_FRAMES
        at = end
    kept.append(view[at:] if at >= 0 else view[:0])
    if profile:
        pieces = {body[12]: body[14:] for body in reversed(profile) if len(body) >= 14}
        if sorted(pieces) == list(range(1, len(pieces) + 1)):
            encoded.keep("icc_profile", b"".join(pieces[place] for place in sorted(pieces)), MAX_PROFILE_BYTES)
        else:
            encoded.notes.append("the colour profile is incomplete and was not read")
    if sum(map(len, kept)) < len(view):
        encoded.content = b"".join(kept)


def _jpeg_application(encoded: EncodedPicture, marker: int, body: bytes, profile: list[bytes]) -> bool:
    """Stores the metadata of an application segment; returns whether the decoder needs the segment."""
    if (marker == 0xE0 and body.startswith(b"JFIF\0")) or (marker == 0xEE and body.startswith(b"Adobe")):
        if len(body) >= 12:
            return True
        encoded.notes.append(f"the segment {body[:5].rstrip(bytes(1)).decode()} is damaged and was not read")
    elif marker == 0xE1 and body.startswith(b"Exif\0"):
        encoded.keep("exif", body)
    elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        encoded.keep("xmp", body.partition(b"\0")[2])
    elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
        profile.append(body)
    return False


_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""A marker that ends a scan; restarts do not, and FF 00 is a byte of the scan."""
_COLOUR_SEGMENTS = {0xE0: 16, 0xEE: 14}
"""The lengths of the segments JFIF without a preview, and Adobe."""


def jpeg_alone(content: bytes) -> bytes:
    """The first picture of a JPEG file that `strip_metadata` returned, without what follows it.

    Empty if there is more in it than a picture: a preview in the JFIF segment, or metadata between scans.
    """
    at = 2
    while match := _MARKER.search(content, at):
        marker, at = content[match.end() - 1], match.end()
        if marker == 0xD9:
            return content[:at]
        length = int.from_bytes(content[at : at + 2], "big")
        if marker < 0xC0 or marker == 0xD8 or (marker >= 0xE0 and _COLOUR_SEGMENTS.get(marker) != length):
            break
        at += length
    return b""


_WEBP_METADATA = {b"EXIF": "exif", b"XMP ": "xmp", b"ICCP": "icc_profile"}
_WEBP_METADATA_FLAGS = 0x08 | 0x04 | 0x20


def _webp(encoded: EncodedPicture) -> None:
    """Keeps the chunks that hold pixels (RFC 9649)."""
    view, at = memoryview(encoded.content), 12
    kept: list[bytes | memoryview] = []
    has_metadata = False
    while at + 8 <= len(view):
        kind, size = struct.unpack_from("<4sI", view, at)
        end = at + 8 + size + size % 2
        if kind in _WEBP_METADATA:
            has_metadata = True
            name, limit = _WEBP_METADATA[kind], MAX_PROFILE_BYTES if kind == b"ICCP" else MAX_ITEM_BYTES
            if at + 8 + size > len(view):
                encoded.notes.append(f"the {name.replace('_', ' ')} is cut off and was not read")
            else:
                encoded.keep(name, bytes(view[at + 8 : at + 8 + size]), limit)
        elif at + 8 + size > len(view):
            return  # truncated pixels: the decoder reports it
        elif kind == b"VP8X" and size:
            kept += [view[at : at + 8], bytes([view[at + 8] & ~_WEBP_METADATA_FLAGS]), view[at + 9 : end]]
        else:
            kept.append(view[at:end])
        at = end
    if has_metadata:
        body = b"WEBP" + b"".join(kept)
        encoded.content = b"RIFF" + struct.pack("<I", len(body)) + body


def _tiff(encoded: EncodedPicture) -> None:
    """Appends a directory that has only the tags that the first picture's pixels need (TIFF 6.0)."""
    content = encoded.content
    order = _TIFF[content[:4]]
    is_big = content[2:4] in (b"+\0", b"\0+")
    at, count_form, entry_bytes, offset_form = (8, "Q", 20, "Q") if is_big else (4, "H", 12, "I")
    try:
        (start,) = struct.unpack_from(order + offset_form, content, at)
        (count,) = struct.unpack_from(order + count_form, content, start)
    except struct.error:
        return
    start += struct.calcsize(count_form)
    if start + count * entry_bytes > len(content):
        return
    entries = [content[i : i + entry_bytes] for i in range(start, start + count * entry_bytes, entry_bytes)]
    kept = [entry for entry in entries if _is_kept(encoded, entry, order, is_big)]
    if len(kept) == count:
        return
    padding = b"\0" * (-len(content) % 8)
    directory = struct.pack(order + count_form, len(kept)) + b"".join(kept) + struct.pack(order + offset_form, 0)
    place = struct.pack(order + offset_form, len(content) + len(padding))
    encoded.content = b"".join((content[:at], place, content[at + len(place) :], padding, directory))


def _is_kept(encoded: EncodedPicture, entry: bytes, order: str, is_big: bool) -> bool:
    tag, kind, count = struct.unpack_from(order + ("HHQ" if is_big else "HHI"), entry)
    if tag not in _TIFF_PIXEL_TAGS:
        return False
    n_bytes = count * _TIFF_TYPE_BYTES.get(kind, 1)
    if tag == 34675 and n_bytes > MAX_PROFILE_BYTES:
        encoded.notes.append(f"the colour profile was not read: more than {MAX_PROFILE_BYTES:,} bytes")
        return False
    return True
