"""PNG files: separates the chunks that hold pixels from metadata, and reads the metadata that matters."""

from __future__ import annotations

import struct
import zlib

from crossmodal.images.encoded import MAX_ITEM_BYTES, MAX_PROFILE_BYTES, EncodedPicture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_INFLATED_BYTES = 32 * 1024 * 1024  # sum over all compressed items of a file
_TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt"}
_COLOUR_CHUNKS = {b"tRNS", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"}


class PngReader:
    """Separates the chunks of one PNG file.

    Source: W3C, Portable Network Graphics Specification (3rd edition), sections 5 and 11.
    """

    def __init__(self, encoded: EncodedPicture) -> None:
        self._encoded = encoded
        self._colour_type = -1
        self._colour_chunks: dict[bytes, bytes] = {}
        self._inflatable_bytes = _MAX_INFLATED_BYTES

    def read(self) -> None:
        """Fills the encoded picture's attributes and removes metadata from its content."""
        view, at = memoryview(self._encoded.content), len(SIGNATURE)
        kept = [view[:at]]
        while at + 12 <= len(view):
            length, kind = struct.unpack_from(">I4s", view, at)
            end = at + 12 + length
            if end > len(view) and kind.isalpha() and kind[:1].islower():
                self._encoded.notes.append(f"the chunk {kind.decode()} is cut off and was not read")
                at = len(view)
                break
            if end > len(view) or not kind.isalpha():
                break  # truncated or not a PNG file: the decoder reports it
            if kind[:1].isupper():
                kept.append(view[at:end])
                if kind == b"IHDR" and length == 13:
                    self._encoded.bits, self._colour_type = view[at + 16], view[at + 17]
            elif zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", view, end - 4)[0]:
                self._encoded.notes.append(f"the chunk {kind.decode()} is damaged and was not read")
            elif kind == b"tRNS" and self._colour_type == 3:
                kept.append(view[at:end])
            else:
                self._ancillary(kind, view[at + 8 : end - 4])
            at = len(view) if kind == b"IEND" else end
        kept.append(view[at:])
        if sum(map(len, kept)) < len(view):
            self._encoded.content = b"".join(kept)
        self._encoded.is_grey = self._colour_type in (0, 4)
        self._set_colour_space()

    def _ancillary(self, kind: bytes, body: memoryview) -> None:
        if kind in _TEXT_CHUNKS:
            self._text(kind, bytes(body))
        elif kind == b"eXIf":
            self._encoded.keep("exif", b"Exif\0\0" + body)
        elif kind in _COLOUR_CHUNKS and len(body) <= MAX_PROFILE_BYTES:
            self._colour_chunks.setdefault(kind, bytes(body))

    def _set_colour_space(self) -> None:
        """Sets transparency and colour space; of several colour chunks the standard's precedence decides."""
        encoded, chunks = self._encoded, self._colour_chunks
        key = chunks.get(b"tRNS", b"")
        n_samples = {0: 1, 2: 3}.get(self._colour_type, 0)
        if n_samples and len(key) >= 2 * n_samples:
            encoded.transparent = tuple(v & (2**encoded.bits - 1) for v in struct.unpack_from(f">{n_samples}H", key))
        if len(chunks.get(b"cICP", b"")) == 4:
            encoded.cicp = (chunks[b"cICP"][0], chunks[b"cICP"][1])
        elif b"iCCP" in chunks:
            _, _, packed = chunks[b"iCCP"].partition(b"\0")
            profile = self._inflated("colour profile", packed[1:], MAX_PROFILE_BYTES)
            if profile is not None:
                encoded.info["icc_profile"] = profile
        elif b"sRGB" not in chunks and len(chunks.get(b"gAMA", b"")) == 4:
            encoded.gamma = struct.unpack(">I", chunks[b"gAMA"])[0] / 1e5
            if len(chunks.get(b"cHRM", b"")) == 32:
                encoded.chromaticity = tuple(v / 1e5 for v in struct.unpack(">8I", chunks[b"cHRM"]))

    def _text(self, kind: bytes, body: bytes) -> None:
        """Stores the XMP packet, which may hold the orientation; other texts are only checked for their size."""
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
            self._encoded.keep("xmp", value)
        elif len(value) > MAX_ITEM_BYTES:
            self._encoded.notes.append(f"the {name} was not read: more than {MAX_ITEM_BYTES:,} bytes")
        elif keyword == b"Raw profile type exif":
            self._raw_exif(value)

    def _raw_exif(self, value: bytes) -> None:
        """Stores hexadecimal EXIF, as ImageMagick writes it: a line break, a name, a length, and the digits."""
        try:
            self._encoded.keep("exif", bytes.fromhex("".join(value.decode("ascii").split("\n")[3:])))
        except ValueError:
            self._encoded.notes.append("the EXIF text is damaged and was not read")

    def _inflated(self, name: str, packed: bytes, limit: int) -> bytes | None:
        """The decompressed bytes; None, with a note, if they are damaged or exceed a limit."""
        limit = min(limit, self._inflatable_bytes)
        inflater = zlib.decompressobj()
        try:
            value = inflater.decompress(packed, limit) if limit else b""
        except zlib.error:
            value = b""
        self._inflatable_bytes -= len(value)
        if inflater.eof:
            return value
        why = f"was not read: more than {limit:,} bytes" if len(value) == limit else "is damaged and was not read"
        self._encoded.notes.append(f"the {name} {why}")
        return None
