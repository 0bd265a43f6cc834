"""Resizing as the model wants it, compared with open_clip's own transform; thumbnails."""

import io
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossmodal.core.types import Preprocessing
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.images import geometry
from crossmodal.images.decode import decode
from crossmodal.images.geometry import THUMBNAIL_PX, fit, thumbnail

SIZES = [
    (96, 96), (97, 96), (95, 96), (640, 480), (480, 640), (333, 500), (31, 17), (17, 31), (3, 2), (1, 1),
    (1000, 20), (20, 1000), (300, 1), (191, 192),
]  # fmt: skip


def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * 10_000 + height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("size", SIZES)
def test_fit_equals_open_clip_to_the_bit(size: tuple[int, int], resize: str, interpolation: str) -> None:
    if resize == "longest" and max(size) > 90 * min(size):
        pytest.skip("open_clip rounds the short side to no pixels at all")
    prepare_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from open_clip.transform import image_transform
    wanted = Preprocessing(96, resize, interpolation, fill=7)  # type: ignore[arg-type]
    theirs = image_transform(
        96, is_train=False, mean=(0.0,) * 3, std=(1.0,) * 3,
        resize_mode=resize, interpolation=interpolation, fill_color=7,
    )  # fmt: skip
    picture = noise(*size)
    expected = (theirs(picture).permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    assert np.array_equal(fit(picture, wanted), expected)


@pytest.mark.parametrize("size", [*SIZES, (256, 256), (128, 400)])
def test_a_resize_before_the_crop_equals_torchvision_to_the_bit(size: tuple[int, int]) -> None:
    prepare_torchvision()
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    picture = noise(*size)
    theirs = Compose([Resize(128, InterpolationMode.BILINEAR), CenterCrop(112)])
    found = fit(picture, Preprocessing(112, "shortest", "bilinear", resize_px=128))
    assert np.array_equal(found, np.asarray(theirs(picture)))


def test_a_resize_to_the_size_itself_is_none() -> None:
    picture = noise(50, 70)
    assert np.array_equal(fit(picture, Preprocessing(32, resize_px=32)), fit(picture, Preprocessing(32)))


@pytest.mark.parametrize("resize", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [*SIZES, (1, 3000), (3000, 1)])
def test_fit_has_the_size_of_the_model(size: tuple[int, int], resize: str) -> None:
    pixels = fit(noise(*size), Preprocessing(32, resize))  # type: ignore[arg-type]
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8


def test_shortest_keeps_the_centre() -> None:
    picture = Image.new("RGB", (300, 100), "red")
    picture.paste((0, 0, 255), (100, 0, 200, 100))
    assert (fit(picture, Preprocessing(100)) == (0, 0, 255)).all()


def test_longest_pads_with_the_fill() -> None:
    pixels = fit(Image.new("RGB", (100, 50), (200, 10, 10)), Preprocessing(20, "longest", fill=9))
    assert (pixels[:5] == 9).all()
    assert (pixels[15:] == 9).all()
    assert (pixels[5:15] == (200, 10, 10)).all()


def test_squash_shows_everything() -> None:
    picture = Image.new("RGB", (300, 100), "red")
    picture.paste((0, 0, 255), (150, 0, 300, 100))
    pixels = fit(picture, Preprocessing(30, "squash"))
    assert tuple(pixels[15, 2]) == (255, 0, 0)
    assert tuple(pixels[15, 27]) == (0, 0, 255)


def test_fit_leaves_the_picture_alone() -> None:
    picture = noise(40, 30)
    before = picture.tobytes()
    fit(picture, Preprocessing(16))
    assert picture.size == (40, 30)
    assert picture.tobytes() == before


@pytest.mark.parametrize("size", [(100_000, 1), (1, 100_000)])
def test_a_long_strip_takes_little_memory(size: tuple[int, int]) -> None:
    """A strip of 300 kB must not be blown up to gigabytes only to be cropped; so under a limit of 1 GiB."""
    script = (
        "import sys, resource; from PIL import Image\n"
        "from crossmodal.core.types import Preprocessing; from crossmodal.images.geometry import fit\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        f"print(fit(Image.new('RGB', {size}, (9, 8, 7)), Preprocessing(224)).mean(axis=(0, 1)).tolist())"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, timeout=60, cwd=Path(geometry.__file__).parents[2],
        env={"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert found.stdout.strip() == "[9.0, 8.0, 7.0]", found.stderr


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1000, 500), (256, 128)), ((500, 1000), (128, 256)), ((256, 256), (256, 256)), ((40, 20), (40, 20)),
     ((1, 1), (1, 1)), ((5000, 1), (256, 1))],
)  # fmt: skip
def test_a_thumbnail_is_the_whole_picture_never_enlarged(size: tuple[int, int], expected: tuple[int, int]) -> None:
    picture = noise(*size)
    content = thumbnail(picture)
    small = Image.open(io.BytesIO(content))
    assert small.format == "JPEG"
    assert small.size == expected
    assert max(small.size) <= THUMBNAIL_PX
    assert picture.size == size


def test_a_thumbnail_looks_like_its_picture() -> None:
    picture = Image.new("RGB", (600, 300), "red")
    picture.paste((0, 0, 255), (300, 0, 600, 300))
    small = Image.open(io.BytesIO(thumbnail(picture)))
    assert small.getpixel((20, 64)) == pytest.approx((254, 0, 0), abs=6)
    assert small.getpixel((236, 64)) == pytest.approx((0, 0, 254), abs=6)


def test_a_thumbnail_carries_no_comment() -> None:
    buffer = io.BytesIO()
    Image.new("P", (8, 4)).save(buffer, "GIF", comment=b"x" * 70_000)
    picture, _ = decode(buffer.getvalue())
    assert len(thumbnail(picture)) < 5_000
