"""`prepare`: pixels, thumbnail and size from one decoding, from several threads at once."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from test_decode import encoded, quarters

from crossmodal.core.errors import PictureError
from crossmodal.core.types import Preprocessing
from crossmodal.images.decode import decode, read
from crossmodal.images.geometry import fit, thumbnail
from crossmodal.images.prepare import prepare

SMALL = Preprocessing(32)


def test_a_prepared_picture_is_the_decoded_one_fitted() -> None:
    content = encoded(quarters(90, 60), "PNG", icc_profile=b"no profile")
    prepared, picture = prepare(content, SMALL, with_thumbnail=True), decode(content)[0]
    assert np.array_equal(prepared.pixels, fit(picture, SMALL))
    assert prepared.thumbnail == thumbnail(picture)
    assert (prepared.width, prepared.height, prepared.mime_type) == (90, 60, "image/png")
    assert prepared.notes == read(content).notes != ()


def test_no_thumbnail_is_made_without_need() -> None:
    assert prepare(encoded(quarters(), "PNG"), SMALL, with_thumbnail=False).thumbnail is None


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
