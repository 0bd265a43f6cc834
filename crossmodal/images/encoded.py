"""An encoded picture whose metadata is separated from its pixels."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_ITEM_BYTES = 1024 * 1024
"""Largest metadata item that is read; a larger one is skipped with a note."""

MAX_PROFILE_BYTES = 4 * 1024 * 1024
"""Largest colour profile that is read; profiles of printing presses exceed 1 MB."""


@dataclass
class EncodedPicture:
    """An encoded file without metadata, as the decoder reads it, and the metadata that affects the display.

    Attributes:
        content: The encoded file without its metadata.
        info: `exif`, `xmp` and `icc_profile` (Pillow's names), as far as the file has them.
        transparent: The grey level or RGB colour that means "transparent" in a PNG file without alpha, at the file's
            bit depth.
        bits: Bits per sample of a PNG file.
        is_grey: Whether a PNG file has grey samples, with or without alpha.
        gamma: Encoding exponent of a PNG file (about 0.45455), if it has no cICP, iCCP or sRGB chunk; else 0.
        chromaticity: CIE x, y of white, red, green and blue, under the same condition.
        cicp: Code points of primaries and transfer function (ITU-T H.273).
        is_scalable: Whether a JPEG file holds DCT coefficients, so that it can be decoded at a reduced size.
        notes: Metadata that was skipped because it is damaged or too large.
    """

    content: bytes
    info: dict[str, bytes] = field(default_factory=dict)
    transparent: tuple[int, ...] = ()
    bits: int = 0
    is_grey: bool = False
    gamma: float = 0.0
    chromaticity: tuple[float, ...] = ()
    cicp: tuple[int, int] | None = None
    is_scalable: bool = False
    notes: list[str] = field(default_factory=list)

    def keep(self, name: str, value: bytes, limit: int = MAX_ITEM_BYTES) -> None:
        """Stores a metadata item, or a note if it is too large."""
        if len(value) > limit:
            self.notes.append(f"the {name.replace('_', ' ')} was not read: more than {limit:,} bytes")
        else:
            self.info.setdefault(name, value)
