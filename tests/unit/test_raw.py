"""RAW files of cameras: which part is decoded, its orientation, its size, its metadata."""

from __future__ import annotations

import builtins
import re
import struct
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from raw_samples import dng, jpeg

from crossmodal.core.errors import PictureError
from crossmodal.core.types import ImageRecord, Preprocessing
from crossmodal.datasets.folder import read_path
from crossmodal.images import decode
from crossmodal.images.decode import MIME_TYPES, metadata_blocks, read
from crossmodal.images.formats import FORMATS, RAW
from crossmodal.images.prepare import prepare
from crossmodal.images.raw import is_raw

SIZE = (1200, 900)
GREEN, RED, WHITE = (40, 200, 60), (255, 0, 61), (255, 255, 255)


def near(picture: Image.Image, place: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    pixel = picture.getpixel(place)
    return bool(np.abs(np.subtract(pixel, colour)).max() < 12)  # type: ignore[arg-type]


@pytest.mark.parametrize(("orientation", "corner"), [(1, (50, 50)), (6, (550, 50)), (3, (750, 550)), (8, (50, 750))])
@pytest.mark.parametrize("has_exif", [False, True])
def test_the_preview_is_decoded_upright(orientation: int, corner: tuple[int, int], has_exif: bool) -> None:
    """`has_exif`: whether the orientation is also in the preview."""
    preview = jpeg((800, 600), orientation if has_exif else None)
    picture, mime_type, notes = read(dng(SIZE, preview, orientation))
    assert mime_type == "image/x-dcraw"
    assert notes == ()
    assert picture.size == ((800, 600) if orientation in (1, 3) else (600, 800))
    assert near(picture, corner, WHITE)
    assert near(picture, (picture.width - 1 - corner[0], picture.height - 1 - corner[1]), GREEN)


@pytest.mark.parametrize("preview", [b"", jpeg((160, 120))])
@pytest.mark.parametrize("orientation", [1, 6])
def test_without_a_large_preview_it_is_developed_at_half_the_size(preview: bytes, orientation: int) -> None:
    picture, mime_type, _ = read(dng(SIZE, preview, orientation))
    assert mime_type == "image/x-dcraw"
    assert picture.size == ((600, 450) if orientation == 1 else (450, 600))
    assert near(picture, (100, 400), RED)


def test_a_camera_without_colours_is_grey() -> None:
    picture, _, _ = read(dng(SIZE, is_grey=True))
    assert picture.mode == "RGB"
    assert len({*picture.getpixel((9, 9))}) == 1  # type: ignore[misc]


@pytest.mark.parametrize("preview", [b"", jpeg((800, 600))])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_size_is_that_of_the_file(preview: bytes, orientation: int) -> None:
    made = prepare(dng(SIZE, preview, orientation), Preprocessing(64), with_thumbnail=True)
    assert (made.width, made.height) == (SIZE if orientation == 1 else SIZE[::-1])
    assert made.thumbnail is not None
    with Image.open(BytesIO(made.thumbnail)) as small:
        assert small.size == ((256, 192) if orientation == 1 else (192, 256))
        quarter, opposite = ((64, 48), (192, 144)) if orientation == 1 else ((144, 64), (48, 192))
        assert not near(small, quarter, small.getpixel(opposite))  # type: ignore[arg-type]


def test_a_cropped_preview_is_not_stretched() -> None:
    made = prepare(dng(SIZE, jpeg((800, 450))), Preprocessing(64), with_thumbnail=False)
    assert (made.width, made.height) == (800, 450)


def test_metadata_is_that_of_the_file() -> None:
    content = dng(SIZE, jpeg((800, 600)))
    assert metadata_blocks(content) == (content, b"")
    made = prepare(content, Preprocessing(64), with_thumbnail=False, with_metadata=True)
    assert made.embedded.tags["camera"] == "Test Camera"


def test_other_files_are_none() -> None:
    for kind in ("TIFF", "PNG", "JPEG"):
        file = BytesIO()
        Image.new("RGB", (20, 20)).save(file, kind)
        assert not is_raw(file.getvalue())
    file = BytesIO()
    exif = Image.Exif()
    exif[271] = "Scanner"
    Image.new("L", (20, 20)).save(file, "TIFF", exif=exif)
    assert not is_raw(file.getvalue())
    assert read(file.getvalue())[1] == "image/tiff"
    for cut in range(0, 12):
        is_raw(b"II*\0\x08\0\0\0\xff\xff"[:cut])


@pytest.mark.parametrize(
    "content", [b"FUJIFILMCCD-RAW" + bytes(500), dng(SIZE)[:3000], b"\0\0\0\x18ftypcrx " + bytes(99)]
)
def test_a_damaged_file_is_a_failure(content: bytes) -> None:
    if content.startswith(b"II"):  # its directory is at the end of the file
        assert not is_raw(content)
    with pytest.raises(PictureError):
        read(content)


def test_truncated_samples_are_a_failure() -> None:
    content = dng(SIZE)
    (start,) = struct.unpack_from("<I", content, 4)
    directories = content[8 + 768 + SIZE[0] * SIZE[1] * 2 :]
    assert is_raw(content)
    assert len(directories) > 100
    damaged = content[:4] + struct.pack("<I", len(content)) + content[8:] + content[start : start + 20]
    with pytest.raises(PictureError):
        read(damaged)


def test_too_many_pixels_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 1_000_000)
    with pytest.raises(PictureError, match="1200 x 900 pixels"):
        read(dng(SIZE))


def test_without_rawpy_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fake(name: str, *rest: Any) -> Any:
        if name == "rawpy":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "rawpy", raising=False)
    monkeypatch.setattr(builtins, "__import__", fake)
    with pytest.raises(PictureError, match="pip install rawpy"):
        read(dng(SIZE))


def test_folders_are_searched_for_them(tmp_path: Path) -> None:
    for name in ("a.NEF", "b.dng", "c.cr3", "d.arw"):
        (tmp_path / name).touch()
    found = [record.path.name for record in read_path(tmp_path) if isinstance(record, ImageRecord)]
    assert found == ["a.NEF", "b.dng", "c.cr3", "d.arw"]
    assert MIME_TYPES["RAW"] == "image/x-dcraw"


def test_the_page_takes_them_without_a_type() -> None:
    """Systems often know no MIME type of RAW and HEIC files, so that the page goes by their names."""
    (pattern,) = re.findall(r"^  /(.*)/i;$", (ROOT / "web" / "form.js").read_text("utf8"), re.MULTILINE)
    for ending in (FORMATS["HEIF"][1] + " " + RAW[1]).split():
        assert re.search(pattern, f"a{ending}"), ending
    assert not re.search(pattern, "a.txt")
