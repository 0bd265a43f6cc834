"""Large pictures decoded at a reduced size: beside the same pictures decoded whole."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from test_colour import PRIMARIES, SPACES, profile_of

from crossmodal.core.errors import PictureError
from crossmodal.core.types import Pixels, Preprocessing
from crossmodal.encoders import registry
from crossmodal.images.decode import read, read_at_scale
from crossmodal.images.geometry import fit, reduction, thumbnail
from crossmodal.images.prepare import prepare

pillow_heif.register_heif_opener()

MODEL = Preprocessing(224)
TOY = Path(__file__).parents[2] / "data" / "toy-data" / "images"
SIZE = (1027, 905)
"""Reduced by 2, and no multiple of it: the reduced picture has a padded column and row."""


def scene(size: tuple[int, int] = SIZE) -> Image.Image:
    """A photograph enlarged, with the noise of a sensor."""
    with Image.open(sorted(TOY.iterdir())[0]) as photograph:
        large = np.asarray(photograph.resize(size, Image.Resampling.BICUBIC), np.int16)
    noise = np.random.default_rng(0).integers(-10, 11, (64, 64, 3), np.int16)
    tiles = np.tile(noise, (size[1] // 64 + 1, size[0] // 64 + 1, 1))[: size[1], : size[0]]
    return Image.fromarray((large + tiles).clip(0, 255).astype(np.uint8))


def encoded(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **{"quality": 90, **options})
    return buffer.getvalue()


def differences(content: bytes, preprocessing: Preprocessing = MODEL) -> tuple[float, int]:
    """The mean and largest difference of the model's input from that of the whole picture, in levels.

    Checks what else `prepare` returns.
    """
    whole, mime_type, notes = read(content)
    found = prepare(content, preprocessing, with_thumbnail=True)
    assert (found.width, found.height, found.mime_type, found.notes) == (*whole.size, mime_type, notes)
    assert found.thumbnail is not None
    shown, expected = (Image.open(io.BytesIO(jpeg)) for jpeg in (found.thumbnail, thumbnail(whole)))
    assert shown.size == expected.size
    assert apart(np.asarray(shown), np.asarray(expected))[0] < 2.5
    return apart(found.pixels, fit(whole, preprocessing))


def apart(one: Pixels, other: Pixels) -> tuple[float, int]:
    difference = np.abs(one.astype(int) - other.astype(int))
    return float(difference.mean()), int(difference.max())


@pytest.mark.parametrize(
    ("size", "preprocessing", "expected"),
    [
        ((4000, 3000), MODEL, 8), ((3000, 4000), MODEL, 8), ((4000, 2687), MODEL, 4), ((3840, 2688), MODEL, 8),
        ((8000, 6000), MODEL, 8), ((1920, 1080), MODEL, 2), ((640, 480), MODEL, 1), ((1, 1), MODEL, 1),
        ((100_000, 1), MODEL, 1), ((1024, 895), MODEL, 1), ((1024, 896), MODEL, 2), ((1023, 1023), MODEL, 1),
        ((4000, 3000), Preprocessing(384), 2), ((4000, 3000), Preprocessing(224, resize_px=384), 2),
        ((4000, 600), Preprocessing(224, "squash"), 1), ((4096, 600), Preprocessing(224, "longest"), 8),
        ((4000, 3000), Preprocessing(32), 8), ((3071, 3000), Preprocessing(32), 4),
    ],
)  # fmt: skip
def test_the_factor_leaves_more_than_is_needed(
    size: tuple[int, int], preprocessing: Preprocessing, expected: int
) -> None:
    assert reduction(*size, preprocessing) == expected


def test_a_large_jpeg_is_decoded_at_a_reduced_size() -> None:
    reduced = read_at_scale(encoded(scene()), lambda width, height: 4).reduced
    assert reduced.picture.size == (257, 227)
    assert reduced.size == SIZE
    assert reduced.box == (0, 0, 1027 / 4, 905 / 4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_picture_is_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    mean, largest = differences(encoded(scene(), kind, exif=exif, compress_level=1))
    assert mean < 0.6
    assert largest <= 6


@pytest.mark.parametrize("resize", ["shortest", "longest", "squash"])
def test_every_mode_of_resizing(resize: str) -> None:
    assert differences(encoded(scene()), Preprocessing(160, resize, "bilinear", resize_px=192))[0] < 0.6  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: encoded(picture, icc_profile=profile_of(b"RGB ", PRIMARIES["p3"], SPACES["Display P3"][1])),
        lambda picture: encoded(picture.convert("CMYK")),
        lambda picture: encoded(picture.convert("L")),
        lambda picture: encoded(picture, progressive=True),
        lambda picture: encoded(picture, subsampling=0),
        lambda picture: encoded(picture, "WEBP", method=0),
        lambda picture: encoded(picture, "AVIF", speed=10),
        lambda picture: encoded(picture.convert("L"), "PNG", compress_level=1, transparency=0),
        lambda picture: encoded(picture.convert("RGBA"), "PNG", compress_level=1),
        lambda picture: encoded(picture.quantize(64), "GIF"),
        lambda picture: encoded(picture, "TIFF", tiffinfo={0x0112: 6}),
    ],
    ids=["Display P3", "CMYK", "grey", "progressive", "4:4:4", "WEBP", "AVIF", "key", "alpha", "palette", "TIFF"],
)  # fmt: skip
def test_every_kind_of_picture(change: Callable[[Image.Image], bytes]) -> None:
    content = change(scene())
    reduced = read_at_scale(content, lambda width, height: reduction(width, height, MODEL)).reduced
    assert reduced.picture.size in ((514, 453), (453, 514))
    assert differences(content)[0] < 0.6


def test_heic() -> None:
    assert differences(encoded(scene((1025, 897)), "HEIF", quality=50))[0] < 0.6


def test_a_lossless_jpeg_is_decoded_whole() -> None:
    """Predicted from the left (ITU-T T.81, annex H), all differences 0, whose code has two bits."""

    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body

    frame = segment(0xC3, struct.pack(">BHHBBBB", 8, 1024, 1024, 1, 1, 0x11, 0))
    table = segment(0xC4, b"\0" + bytes([0, 1, *[0] * 14]) + b"\0")
    content = (
        b"\xff\xd8" + frame + table + segment(0xDA, bytes([1, 1, 0, 1, 0, 0])) + bytes(1024 * 1024 // 4) + b"\xff\xd9"
    )
    prepared = prepare(content, MODEL, with_thumbnail=False)
    assert (prepared.width, prepared.height) == (1024, 1024)
    assert (prepared.pixels == 128).all()


@pytest.mark.parametrize("size", [(1, 1), (40, 30), (640, 480), (1023, 1023)])
def test_a_small_picture_is_decoded_whole(size: tuple[int, int]) -> None:
    content = encoded(scene(size))
    assert differences(content) == (0, 0)


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_truncated_large_jpeg_has_the_same_error(part: float) -> None:
    content = encoded(scene())
    content = content[: int(part * len(content))]
    with pytest.raises(PictureError, match="truncated") as whole:
        read(content)
    with pytest.raises(PictureError) as reduced:
        prepare(content, MODEL, with_thumbnail=True)
    assert str(reduced.value) == str(whole.value)


def test_a_model_sees_twelve_megapixels_as_if_decoded_whole() -> None:
    spec = registry.resolve("clip", "photos")
    contents = [encoded(scene((4000, 3000))), encoded(scene((3024, 4032)).transpose(Image.Transpose.FLIP_TOP_BOTTOM))]
    found = np.stack([prepare(content, spec.preprocessing, with_thumbnail=False).pixels for content in contents])
    expected = np.stack([fit(read(content).picture, spec.preprocessing) for content in contents])
    mean, largest = apart(found, expected)
    assert mean < 0.75
    assert largest <= 9
    encoder = registry.load(spec, ("image",))
    cosines = (encoder.encode_images(found) * encoder.encode_images(expected)).sum(axis=1)
    assert cosines.min() > 0.998
