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


def test_threads_prepare_the_same_and_leave_the_filters_of_warnings() -> None:
    """The palette's transparency and the damaged EXIF make Pillow warn, which the tests treat as an error."""
    palette = encoded(quarters().quantize(4), "PNG", transparency=bytes([0, 128, 255, 255]))
    exif = encoded(quarters(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    contents = [palette, exif] * 20
    expected = [prepare(content, SMALL, with_thumbnail=True).thumbnail for content in contents]
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda content: prepare(content, SMALL, with_thumbnail=True).thumbnail, contents))
    assert found == expected
    assert list(warnings.filters) == before


def test_warnings_of_others_are_still_shown() -> None:
    decode(encoded(Image.new("RGB", (2, 2)), "PNG"))
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", stacklevel=1)
