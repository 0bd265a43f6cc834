"""Metadata that is too large, damaged or misleading: the picture is read all the same."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, PngImagePlugin

from crossmodal.core.errors import PictureError
from crossmodal.images.containers import strip_metadata
from crossmodal.images.decode import decode, read
from crossmodal.images.encoded import MAX_ITEM_BYTES

pillow_heif.register_heif_opener()

MEGABYTES = 3 * MAX_ITEM_BYTES


def picture() -> Image.Image:
    y, x = np.mgrid[0:24, 0:32].astype(np.uint8)
    return Image.fromarray(np.dstack([x * 8, y * 10, 255 - x * 8]))


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) if crc is None else crc)
    )


def png_with(*chunks: bytes, at_end: bool = False) -> bytes:
    content = encoded("PNG")
    place = len(content) - 12 if at_end else 33
    return content[:place] + b"".join(chunks) + content[place:]


TOO_LARGE = {
    "zTXt": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(MEGABYTES))),
    "tEXt": chunk(b"tEXt", b"parameters\0" + b"x" * MEGABYTES),
    "iTXt": chunk(b"iTXt", b"prompt\0\0\0\0\0" + b"x" * MEGABYTES),
    "packed iTXt": chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(bytes(MEGABYTES))),
    "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(MEGABYTES))),
    "iCCP": chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(2 * MEGABYTES))),
    "eXIf": chunk(b"eXIf", b"II*\0" + bytes(MEGABYTES)),
    "many": chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(MAX_ITEM_BYTES))) * 100,
}


@pytest.mark.parametrize("name", TOO_LARGE)
@pytest.mark.parametrize("at_end", [False, True])
def test_png_metadata_that_is_too_large_costs_a_note(name: str, at_end: bool) -> None:
    found, mime_type, notes = read(png_with(TOO_LARGE[name], at_end=at_end))
    assert found.tobytes() == picture().tobytes()
    assert mime_type == "image/png"
    assert notes
    assert "was not read" in notes[0]


DAMAGED = {
    "zTXt": chunk(b"zTXt", b"key\0\0" + b"no zlib"),
    "method": chunk(b"zTXt", b"key\0\7" + zlib.compress(b"x")),
    "iCCP": chunk(b"iCCP", b"name\0\0" + b"no zlib"),
    "iCCP method": chunk(b"iCCP", b"name\0\7" + zlib.compress(b"x")),
    "empty iCCP": chunk(b"iCCP", b""),
    "checksum": chunk(b"tEXt", b"key\0value", crc=1),
    "checksum of tRNS": chunk(b"tRNS", bytes(6), crc=1),
    "EXIF": chunk(b"eXIf", b"\xff" * 40),
    "raw EXIF": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n4\nnot hexadecimal")),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_png_metadata_costs_a_note(name: str) -> None:
    found, _, notes = read(png_with(DAMAGED[name]))
    assert found.tobytes() == picture().tobytes()
    assert bool(notes) == (name not in ("method",))


@pytest.mark.parametrize(
    "added",
    [
        chunk(b"tEXt", b"\0"), chunk(b"tEXt", b""), chunk(b"iTXt", b"k"), chunk(b"pHYs", b""), chunk(b"gAMA", b"x"),
        chunk(b"cHRM", b"x"), chunk(b"sRGB", b""), chunk(b"tIME", b""), chunk(b"acTL", b""), chunk(b"fcTL", bytes(26)),
        chunk(b"acTL", bytes(8)), chunk(b"prVt", bytes(9)), chunk(b"tRNS", b""), chunk(b"tEXt", b"transparency\0abc"),
        chunk(b"tEXt", b"interlace\0001"), chunk(b"tEXt", b"icc_profile\0abc"), chunk(b"tEXt", b"exif\0abc"),
        chunk(b"tEXt", b"bbox\0abc"), chunk(b"tEXt", b"gamma\0abc"), chunk(b"tEXt", b"XML:com.adobe.xmp\0\xff\xfe"),
    ],
)  # fmt: skip
def test_odd_png_chunks_change_nothing(added: bytes) -> None:
    for at_end in (False, True):
        assert decode(png_with(added, at_end=at_end))[0].tobytes() == picture().tobytes()


def test_a_png_file_without_metadata_is_not_copied() -> None:
    content = encoded("PNG")
    assert strip_metadata(content).content is content


def test_an_animation_gives_the_picture_that_stands_still() -> None:
    frames = [Image.new("RGB", (32, 24), "red"), Image.new("RGB", (32, 24), "blue")]
    buffer = io.BytesIO()
    picture().save(buffer, "PNG", save_all=True, append_images=frames)
    assert decode(buffer.getvalue())[0].tobytes() == picture().tobytes()
    buffer = io.BytesIO()
    picture().save(buffer, "PNG", save_all=True, append_images=frames, default_image=True)
    assert decode(buffer.getvalue())[0].tobytes() == picture().tobytes()


XMP_TURNED = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("place", ["xmp", "raw profile", "exif", "exif beside a large text"])
def test_the_orientation_of_a_png_file_is_found_in_every_place(place: str) -> None:
    info = PngImagePlugin.PngInfo()
    exif = Image.Exif()
    if place == "xmp":
        info.add_itxt("XML:com.adobe.xmp", XMP_TURNED)
    else:
        exif[0x0112] = 6
    if place == "raw profile":
        text = exif.tobytes().hex()
        info.add_text("Raw profile type exif", f"\nexif\n{len(text) // 2:8}\n{text}\n", zip=True)
        exif = Image.Exif()
    if place.endswith("text"):
        info.add_text("workflow", "x" * MEGABYTES, zip=True)
    content = encoded("PNG", pnginfo=info, exif=exif)
    assert decode(content)[0].tobytes() == picture().transpose(Image.Transpose.ROTATE_270).tobytes()


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg_with(*segments: bytes) -> bytes:
    content = encoded("JPEG", quality=95)
    return content[:2] + b"".join(segments) + content[2:]


@pytest.mark.parametrize(
    "added",
    [
        segment(0xE0, b"JFIF\0"), segment(0xEE, b"Adobe"), segment(0xE1, b"Exif\0\0"),
        segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"), segment(0xE1, b"Exif\0\0" + b"\xff" * 60_000) * 30,
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"<" * 60_000) * 30,
        segment(0xE2, b"MPF\0"), segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 50),
        segment(0xE2, b"ICC_PROFILE\0"), segment(0xE2, b"ICC_PROFILE\0\2\2abc"), segment(0xE2, b"FPXR\0"),
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\xff\xff"), segment(0xED, b"Photoshop 3.0\0" + b"8BIM" * 9),
        segment(0xFE, b""), segment(0xFE, b"\xff" * 60_000) * 50, b"\xff\xff\xff",
        segment(0xFE, b"") + b"\x00\x01junk",
    ],
)  # fmt: skip
def test_odd_jpeg_segments_change_nothing(added: bytes) -> None:
    assert decode(jpeg_with(added))[0].tobytes() == decode(encoded("JPEG", quality=95))[0].tobytes()


def test_damaged_jpeg_metadata_costs_a_note() -> None:
    damaged = [
        segment(0xE0, b"JFIF\0"), segment(0xEE, b"Adobe"), segment(0xE2, b"ICC_PROFILE\0\2\2abc"),
        segment(0xE1, b"Exif\0\0" + b"\xff" * 50),
    ]  # fmt: skip
    for added in damaged:
        assert len(read(jpeg_with(added)).notes) == 1


def test_the_segment_that_tells_a_jpegs_colours_is_kept() -> None:
    for mode in ("CMYK", "RGB"):
        buffer = io.BytesIO()
        picture().convert(mode).save(buffer, "JPEG", quality=95, comment=b"hello", keep_rgb=mode == "RGB")
        theirs = Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
        assert decode(buffer.getvalue())[0].tobytes() == theirs.tobytes()


def test_a_damaged_index_of_a_multi_picture_file() -> None:
    buffer = io.BytesIO()
    picture().save(buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (32, 24))])
    content = buffer.getvalue()
    assert b"MPF\0" in content
    at = content.index(b"MPF\0")
    whole = decode(content)[0].tobytes()
    for start in range(at + 4, at + 60, 4):
        found, mime_type = decode(content[:start] + b"\xff\xff\xff\xff" + content[start + 4 :])
        assert (found.tobytes(), mime_type) == (whole, "image/jpeg")


BAD_TAGS = [
    (305, 2, 9_000_000, 0), (700, 1, 5, 2**31), (282, 5, 1, 2**31), (34665, 4, 1, 9), (270, 99, 3, 4),
    (37724, 7, 2**31, 8), (296, 2, 4, 0x41424344), (330, 4, 9, 7),
]  # fmt: skip


@pytest.mark.parametrize("n_bytes", [13, 20, 60])
def test_a_text_that_is_cut_off_after_the_pixels_costs_a_note(n_bytes: int) -> None:
    content = png_with(chunk(b"tEXt", b"key\0" + b"x" * 100), at_end=True)
    found, _, notes = read(content[: content.index(b"tEXt") - 4 + n_bytes])
    assert found.tobytes() == picture().tobytes()
    assert "cut off" in notes[0]


@pytest.mark.parametrize("damage", ["cut", "large", "wild", "odd"])
@pytest.mark.parametrize("kind", [b"EXIF", b"XMP ", b"ICCP"])
def test_odd_webp_metadata_changes_nothing(kind: bytes, damage: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    content = encoded("WEBP", lossless=True, exif=exif)  # a file with room for more
    size = {"cut": 5000, "large": 6 * MAX_ITEM_BYTES, "wild": 2**32 - 1, "odd": 7}[damage]
    body = b"\xff" * (size if damage in ("large", "odd") else 100)
    content += kind + struct.pack("<I", size) + body + bytes(len(body) % 2)
    content = content[:4] + struct.pack("<I", len(content) - 8) + content[8:]
    found, _, notes = read(content)
    assert found.tobytes() == picture().tobytes()
    assert bool(notes) == (damage != "odd" or kind == b"ICCP")


def test_webp_animations_and_alpha_keep_their_chunks() -> None:
    buffer = io.BytesIO()
    layered = picture().convert("RGBA")
    layered.putalpha(Image.linear_gradient("L").resize(layered.size))
    options = {"lossless": True, "exact": True, "exif": Image.Exif(), "xmp": b"<x/>", "icc_profile": b"none"}
    layered.save(buffer, "WEBP", save_all=True, append_images=[picture()], **options)
    white = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    assert decode(buffer.getvalue())[0].tobytes() == white.tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("added", BAD_TAGS)
def test_damaged_tiff_tags_change_nothing(order: str, added: tuple[int, int, int, int]) -> None:
    """A directory by hand, of a picture of one strip, with one entry more."""
    pixels = picture().tobytes()
    bits = 8 + len(pixels)
    short, long = struct.Struct(order + "HHIHH"), struct.Struct(order + "HHII")
    entries = [short.pack(tag, 3, 1, value, 0) for tag, value in
               [(256, 32), (257, 24), (259, 1), (262, 2), (277, 3), (278, 24)]]  # fmt: skip
    entries += [
        long.pack(258, 3, 3, bits),
        long.pack(273, 4, 1, 8),
        long.pack(279, 4, 1, len(pixels)),
        long.pack(*added),
    ]
    entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
    body = struct.pack(order + "3H", 8, 8, 8) + bytes(2)
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", bits + len(body))
    assert decode(head + pixels + body + directory)[0].tobytes() == picture().tobytes()


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_file_with_many_tags(big: bool) -> None:
    exif = Image.Exif()
    exif[270], exif[305], exif[0x0112] = "x" * MEGABYTES, "program", 6
    content = encoded("TIFF", exif=exif, big_tiff=big, compression="tiff_lzw")
    assert decode(content)[0].tobytes() == picture().transpose(Image.Transpose.ROTATE_270).tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_large_exif_changes_nothing(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 60_000
    assert decode(encoded(kind, exif=exif))[0].tobytes() == decode(encoded(kind))[0].tobytes()


def test_large_comments_of_a_gif_change_nothing() -> None:
    assert decode(encoded("GIF", comment=b"x" * 2_000_000))[0].tobytes() == decode(encoded("GIF"))[0].tobytes()


@pytest.mark.parametrize("n_bytes", [0, 7, 8, 20, 33, 40, 60])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_file_cut_in_its_head_is_refused(kind: str, n_bytes: int) -> None:
    with pytest.raises(PictureError):
        decode(encoded(kind)[:n_bytes])
