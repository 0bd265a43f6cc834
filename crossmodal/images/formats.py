"""The formats of pictures: MIME types and file name extensions."""

from __future__ import annotations

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
"""Formats that Pillow reads, by its name: MIME type and file name extensions.

The content decides a file's format; the extension only decides whether a folder's file is considered a picture."""

PLUGINS = tuple(f"{name}ImagePlugin" for name in ("Avif", "Bmp", "Gif", "Jpeg", "Mpo", "Png", "Tiff", "WebP"))
"""Pillow's modules that read them; BMP includes DIB, and pillow-heif has HEIF."""

RAW = (
    "image/x-dcraw",
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .rw2 .rwl "
    ".sr2 .srf .srw .x3f",
)
"""The same of RAW files of cameras, which LibRaw reads."""

MIME_TYPES = {name: mime_type for name, (mime_type, _) in {**FORMATS, "RAW": RAW}.items()}

EXTENSIONS = frozenset(ending for _, endings in (*FORMATS.values(), RAW) for ending in endings.split())
"""File name extensions of pictures, in lower case."""


def unidentified(content: bytes) -> str:
    """Why a file that no decoder recognises is refused."""
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "a TIFF file that is damaged or has an unsupported sample format: save it as 8-bit RGB"
    return f"not a picture of a known kind ({', '.join(sorted(set(MIME_TYPES.values())))})"
