"""`prepare`: pixels, thumbnail and size from one decoding, from several threads at once."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from test_decode import encoded, quarters

from crossmodal.core.errors import PictureError
from crossmodal.core.types import Preprocessing
from crossmodal.images import icc
from crossmodal.images.decode import decode, read
from crossmodal.images.geometry import fit, thumbnail
from crossmodal.images.prepare import prepare

SMALL = Preprocessing(32)


def scene(side: int = 128) -> Image.Image:
    """A picture with smooth noise, square."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)


def exif_of(tag: int, value: object) -> Image.Exif:
    """EXIF with one tag."""
    exif = Image.Exif()
    exif[tag] = value
    return exif


def test_a_prepared_picture_is_the_decoded_one_fitted() -> None:
    content = encoded(quarters(90, 60), "PNG", icc_profile=b"no profile")
    prepared, picture = prepare(content, SMALL, with_thumbnail=True), decode(content)[0]
    assert np.array_equal(prepared.pixels, fit(picture, SMALL))
    assert prepared.thumbnail == thumbnail(picture)
    assert (prepared.width, prepared.height, prepared.mime_type) == (90, 60, "image/png")
    assert prepared.notes == read(content).notes != ()


def test_no_thumbnail_is_made_without_need() -> None:
    assert prepare(encoded(quarters(), "PNG"), SMALL, with_thumbnail=False).thumbnail is None


@pytest.mark.parametrize("kind", ["RGB", "L"])
@pytest.mark.parametrize("is_progressive", [False, True])
def test_a_small_jpeg_is_its_own_thumbnail_without_what_it_says(kind: str, is_progressive: bool) -> None:
    picture, exif = scene().convert(kind), exif_of(0x010E, "a secret place")
    content = encoded(picture, "JPEG", quality=70, progressive=is_progressive, exif=exif, comment=b"secret")
    found = prepare(content + b"a secret film\xff\xd9", SMALL, with_thumbnail=True).thumbnail
    assert found is not None
    assert np.array_equal(Image.open(io.BytesIO(found)).convert("RGB"), decode(content)[0])
    assert b"secret" not in found
    assert found.endswith(b"\xff\xd9")


def with_jfif_preview(content: bytes) -> bytes:
    """A JPEG file with a preview of one pixel in its JFIF segment."""
    assert content[2:6] == b"\xff\xe0\x00\x10"
    return content[:4] + b"\x00\x13" + content[6:18] + b"\x01\x01" + bytes(3) + content[20:]


@pytest.mark.parametrize(
    "content",
    [
        encoded(scene(), "PNG"),
        encoded(scene(300), "JPEG", quality=70),
        encoded(scene(), "JPEG", quality=100),
        encoded(scene().convert("CMYK"), "JPEG", quality=70),
        encoded(scene(), "JPEG", quality=70, icc_profile=icc.from_code_points(12, 13)),
        encoded(scene(), "JPEG", quality=70, exif=exif_of(0x0112, 6)),
        with_jfif_preview(encoded(scene(), "JPEG", quality=70)),
    ],
    ids=["a PNG", "larger", "many bytes", "CMYK", "a profile", "turned", "a preview"],
)
def test_other_pictures_get_a_new_thumbnail(content: bytes) -> None:
    assert prepare(content, SMALL, with_thumbnail=True).thumbnail == thumbnail(decode(content)[0])


def test_a_damaged_picture_is_refused() -> None:
    with pytest.raises(PictureError, match="known kind"):
        prepare(b"no picture", SMALL, with_thumbnail=True)


def with_damaged_exif() -> bytes:
    """A JPEG of which Pillow warns that its EXIF is corrupt."""
    return encoded(quarters(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")


def test_threads_prepare_the_same_and_leave_the_filters_of_warnings() -> None:
    contents = [with_damaged_exif(), encoded(quarters(90, 60), "PNG")] * 20
    expected = [prepare(content, SMALL, with_thumbnail=True).thumbnail for content in contents]
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda content: prepare(content, SMALL, with_thumbnail=True).thumbnail, contents))
    assert found == expected
    assert list(warnings.filters) == before


def test_filters_that_others_add_do_not_turn_pillows_warnings_into_errors() -> None:
    decode(with_damaged_exif())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(with_damaged_exif())[1] == "image/jpeg"


def test_warnings_of_others_are_still_shown() -> None:
    decode(encoded(Image.new("RGB", (2, 2)), "PNG"))
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", stacklevel=1)
