"""Encoded bytes to RGB: formats, orientation, colour modes, hostile files."""

import io
import os
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from crossmodal.core.errors import PictureError
from crossmodal.images import decode as module
from crossmodal.images.decode import decode, to_pixels, to_rgb

pillow_heif.register_heif_opener()

RED, GREEN, BLUE, YELLOW = (200, 30, 30), (30, 160, 40), (30, 50, 200), (230, 210, 40)


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """Four flat quarters of different colours: any turn or mirroring shows."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(GREEN, (width // 2, 0, width, height // 2))
    picture.paste(BLUE, (0, height // 2, width // 2, height))
    picture.paste(YELLOW, (width // 2, height // 2, width, height))
    return picture


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference over pixels and channels."""
    assert one.size == other.size
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())


@pytest.mark.parametrize(
    ("kind", "mime_type", "tolerance"),
    [
        ("JPEG", "image/jpeg", 4), ("PNG", "image/png", 0), ("WEBP", "image/webp", 4), ("GIF", "image/gif", 4),
        ("TIFF", "image/tiff", 0), ("BMP", "image/bmp", 0), ("AVIF", "image/avif", 6), ("HEIF", "image/heic", 6),
    ],
)  # fmt: skip
def test_every_format_comes_back(kind: str, mime_type: str, tolerance: float) -> None:
    picture, found = decode(encoded(quarters(), kind))
    assert found == mime_type
    assert picture.mode == "RGB"
    assert distance(picture, quarters()) <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    undo = {
        1: (), 2: (Image.Transpose.FLIP_LEFT_RIGHT,), 3: (Image.Transpose.ROTATE_180,),
        4: (Image.Transpose.FLIP_TOP_BOTTOM,), 5: (Image.Transpose.TRANSPOSE,),
        6: (Image.Transpose.ROTATE_90,), 7: (Image.Transpose.TRANSVERSE,), 8: (Image.Transpose.ROTATE_270,),
    }[orientation]  # fmt: skip
    stored = quarters()
    for step in undo:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture, _ = decode(encoded(stored, kind, exif=exif))
    assert distance(picture, quarters()) < 4


def with_exif(entries: Sequence[tuple[int, int, int, bytes]]) -> bytes:
    """A JPEG whose EXIF block has the given raw entries (tag, type, count, value)."""
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        block += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return encoded(Image.new("RGB", (8, 4), RED), "JPEG", exif=block + b"\0\0\0\0")


TURNED = (0x0112, 3, 1, b"\x06\0")


@pytest.mark.parametrize(
    "damage",
    [
        (0x0100, 9, 1, struct.pack("<i", -5)),  # a width below 0
        (0x011A, 2, 4, b"abc\0"),  # a resolution in letters
        (0x011A, 11, 1, struct.pack("<f", float("nan"))),
        (0x8769, 9, 1, struct.pack("<i", -5)),  # a directory before the file
    ],
    ids=["negative width", "text for a number", "not a number", "negative offset"],
)
def test_damaged_exif_does_not_cost_the_picture(damage: tuple[int, int, int, bytes]) -> None:
    picture, _ = decode(with_exif([TURNED, damage]))
    assert picture.mode == "RGB"
    assert picture.size in ((4, 8), (8, 4))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_alpha_is_laid_over_white(mode: str, kind: str) -> None:
    picture = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    picture.putpixel((1, 0), (0, 0, 0, 255))
    picture.putpixel((2, 0), (0, 0, 0, 128))
    found, _ = decode(encoded(picture.convert(mode), kind))
    assert found.getpixel((0, 0)) == (255, 255, 255)
    assert found.getpixel((1, 0)) == (0, 0, 0)
    assert found.getpixel((2, 0)) == pytest.approx((127, 127, 127), abs=1)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(kind: str) -> None:
    picture = Image.new("P", (2, 1), 1)
    picture.putpalette([10, 20, 30, 200, 0, 0])
    picture.putpixel((0, 0), 0)
    found, _ = decode(encoded(picture, kind, transparency=0))
    assert found.getpixel((0, 0)) == (255, 255, 255)
    assert found.getpixel((1, 0)) == (200, 0, 0)


def test_a_transparent_colour_of_an_rgb_picture_is_white() -> None:
    picture = Image.new("RGB", (2, 1), (9, 8, 7))
    picture.putpixel((1, 0), (1, 2, 3))
    found, _ = decode(encoded(picture, "PNG", transparency=(9, 8, 7)))
    assert [found.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), (1, 2, 3)]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    found, _ = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind))
    red, green, blue = found.getpixel((8, 8))  # type: ignore[misc]
    assert red > 200
    assert green < 60
    assert blue < 60


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    values = np.array([[0, 16384, 32768, 65535]], np.uint16)
    found, _ = decode(encoded(Image.fromarray(values), kind))
    assert to_pixels(found)[0, :, 0] == pytest.approx([0, 64, 128, 255], abs=1)


def test_big_endian_sixteen_bits() -> None:
    found, _ = decode(encoded(Image.new("I;16B", (2, 2), 32768), "TIFF"))
    assert found.getpixel((0, 0)) == pytest.approx((128, 128, 128), abs=1)


def test_a_dark_sixteen_bit_picture_stays_dark() -> None:
    found, _ = decode(encoded(Image.new("I;16", (2, 2), 200), "PNG"))
    assert found.getpixel((0, 0)) == (0, 0, 0)


def test_float_pictures_are_clipped_to_eight_bits() -> None:
    values = np.array([[-5.0, 0.0, 127.0, 300.0]], np.float32)
    found, _ = decode(encoded(Image.fromarray(values), "TIFF"))
    assert to_pixels(found)[0, :, 0].tolist() == [0, 0, 127, 255]


def test_greyscale_has_equal_channels() -> None:
    found, _ = decode(encoded(Image.linear_gradient("L"), "PNG"))
    pixels = to_pixels(found)
    assert pixels.shape == (256, 256, 3)
    assert (pixels[..., 0] == np.asarray(Image.linear_gradient("L"))).all()
    assert (pixels == pixels[..., :1]).all()


def test_one_bit_is_black_and_white() -> None:
    picture = Image.new("1", (2, 1))
    picture.putpixel((1, 0), 1)
    found, _ = decode(encoded(picture, "PNG"))
    assert [found.getpixel((x, 0)) for x in range(2)] == [(0, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16", "F"])
def test_to_rgb_takes_every_mode(mode: str) -> None:
    assert to_rgb(Image.new(mode, (3, 2))).mode == "RGB"


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    found, _ = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert found.getpixel((4, 4)) == pytest.approx(RED, abs=4)


def test_the_kind_is_told_by_content() -> None:
    assert decode(encoded(quarters(), "PNG"))[1] == "image/png"


def test_an_empty_file() -> None:
    with pytest.raises(PictureError, match="empty"):
        decode(b"")


@pytest.mark.parametrize("content", [b"hello, I am no picture", b"\0" * 1000, b"<svg xmlns='x'/>", b"%PDF-1.4", b"x"])
def test_what_is_no_picture_is_refused_with_the_known_kinds(content: bytes) -> None:
    with pytest.raises(PictureError, match=r"image/jpeg.*image/png"):
        decode(content)


def test_random_bytes_are_refused() -> None:
    with pytest.raises(PictureError):
        decode(np.random.default_rng(0).bytes(5000))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "HEIF"])
def test_a_truncated_file_is_refused(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    content = encoded(noise, kind)
    with pytest.raises(PictureError):
        decode(content[: len(content) // 2])


def test_a_tiff_whose_offsets_are_no_numbers_is_refused() -> None:
    content = encoded(quarters(), "TIFF")
    strip_offsets = struct.pack("<HH", 0x0111, 4)
    assert content.count(strip_offsets) == 1
    with pytest.raises(PictureError):
        decode(content.replace(strip_offsets, struct.pack("<HH", 0x0111, 7)))


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (10_001, 10_000), (2**31 - 1, 1)])
def test_too_many_pixels_are_refused_before_decoding(width: int, height: int) -> None:
    with pytest.raises(PictureError, match=r"pixels.*scale it down"):
        decode(png_header(width, height))


def test_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(quarters(), "PNG")
    monkeypatch.setattr(module, "MAX_BYTES", len(content) - 1)
    with pytest.raises(PictureError, match="the limit is"):
        decode(content)
    monkeypatch.setattr(module, "MAX_BYTES", len(content))
    assert decode(content)[1] == "image/png"


def test_unsupported_kinds_are_refused() -> None:
    with pytest.raises(PictureError, match="not a picture of a known kind"):
        decode(encoded(quarters(), "PPM"))


def test_no_file_is_left_open() -> None:
    content = encoded(quarters(), "TIFF")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        decode(content)
    assert len(os.listdir("/proc/self/fd")) == before


def test_to_pixels_is_height_width_channel() -> None:
    pixels = to_pixels(quarters(6, 4))
    assert pixels.shape == (4, 6, 3)
    assert pixels.dtype == np.uint8
    assert tuple(pixels[0, 5]) == GREEN
