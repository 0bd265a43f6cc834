"""Every mode in every format that holds it, and every sample format: beside the same picture as plain 8-bit RGB."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image

from crossmodal.core.errors import PictureError
from crossmodal.images.decode import EXTENSIONS, FORMATS, decode, to_pixels, to_rgb

pillow_heif.register_heif_opener()

MODES = {
    "JPEG": "1 L RGB CMYK YCbCr", "PNG": "1 L LA P RGB RGBA I;16 I;16B", "WEBP": "RGB RGBA", "GIF": "1 L P",
    "TIFF": "1 L LA P PA RGB RGBA RGBX CMYK YCbCr LAB I I;16 I;16B I;16L F", "BMP": "1 L P RGB RGBA",
    "DIB": "1 L P RGB RGBA", "AVIF": "RGB RGBA", "HEIF": "L LA RGB RGBA RGBa I;16",
}  # fmt: skip
"""What each format holds; of other modes Pillow's writers make one of these."""

OPTIONS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}, "HEIF": {"quality": 98, "chroma": 444},
    "AVIF": {"quality": 98, "subsampling": "4:4:4"},
}  # fmt: skip


def colours() -> Image.Image:
    y, x = np.mgrid[0:24, 0:32].astype(np.uint8)
    return Image.fromarray(np.dstack([x * 8, y * 10, 255 - x * 8]))


def in_mode(mode: str) -> Image.Image:
    """The picture, or its grey, in a mode."""
    plain = colours()
    if mode == "I;16N":
        mode = "I;16"
    if mode.startswith("I;16"):
        wide = np.asarray(plain.convert("L")).astype(np.uint16) * 257
        return Image.frombytes(mode, plain.size, wide.astype(">u2" if mode.endswith("B") else "<u2").tobytes())
    if mode in ("La", "RGBa"):
        return plain.convert(mode[:-1] + "A").convert(mode)
    if mode in ("PA", "LA"):
        return plain.convert("L").convert(mode)
    if mode == "LAB":
        from PIL import ImageCms

        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        converted = to_lab.apply(plain)
        assert converted is not None
        return converted
    return plain.convert("L").convert(mode) if mode in ("I", "F") else plain.convert(mode)


def expected_of(mode: str) -> Image.Image:
    if mode in ("I", "F", "L", "LA", "La", "PA") or mode.startswith("I;16"):
        return colours().convert("L").convert("RGB")
    return colours().convert(mode).convert("RGB") if mode in ("1", "P", "HSV", "CMYK") else colours()


def save(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **{**OPTIONS.get(kind, {}), **options})
    return buffer.getvalue()


def distance(found: Image.Image, expected: Image.Image | NDArray[np.generic]) -> float:
    return float(np.abs(to_pixels(found).astype(int) - np.asarray(expected).astype(int)).mean())


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes.split()])
def test_every_mode_in_every_format(kind: str, mode: str) -> None:
    tolerance = 4 if kind == "GIF" else 2.5 if mode == "LAB" else 1.5
    assert distance(decode(save(in_mode(mode), kind))[0], expected_of(mode)) <= tolerance


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16",
     "I;16B", "I;16L", "I;16N", "F"],
)  # fmt: skip
def test_every_mode_of_pillow(mode: str) -> None:
    tolerance = 2.5 if mode == "LAB" else 1.5
    assert distance(to_rgb(in_mode(mode)), expected_of(mode)) <= tolerance


def ramp() -> NDArray[np.float64]:
    return np.linspace(0, 1, 768).reshape(24, 32)


def levels() -> NDArray[np.float64]:
    return np.repeat(255 * ramp()[..., None], 3, axis=-1)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "white"),
    [
        ("f4", 0, 1, 1), ("f4", 0, 255, 255), ("f4", 0, 65535, 65535), ("f4", 0, 9000, 65535), ("f4", 0, 0.3, 1),
        ("f4", -1, 1, None), ("f4", -1000, 2000, None), ("f4", -80, 0, None), ("f4", 0, 3, None), ("f4", 0, 1e6, None),
        ("i4", 0, 255, 255), ("i4", 0, 65535, 65535), ("i4", -(10**9), 10**9, None), ("i4", 0, 500_000, None),
        ("u2", 0, 65535, 65535), ("u2", 0, 5000, 65535),
    ],
)  # fmt: skip
def test_deep_grey_shows_its_range(dtype: str, low: float, high: float, white: float | None) -> None:
    """`white` is the sample that means white; None where black and white are the least and the greatest sample."""
    values = low + ramp() * (high - low)
    found, _ = decode(save(Image.fromarray(values.astype(dtype)), "TIFF"))
    expected = levels() if white is None else levels() * high / white
    assert np.abs(to_pixels(found) - expected).mean() <= 1


def test_floating_point_that_is_no_number() -> None:
    values = ramp().astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    found = to_pixels(decode(save(Image.fromarray(values), "TIFF"))[0])[..., 0]
    assert found[0, :3].tolist() == [0, 255, 0]
    assert np.abs(found[1:] - levels()[1:, :, 0]).max() <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floating_point_without_any_number_is_flat(value: float) -> None:
    found, _ = decode(save(Image.fromarray(np.full((4, 4), value, np.float32)), "TIFF"))
    assert len(found.getcolors() or []) == 1


def test_highlights_above_white_do_not_darken_the_picture() -> None:
    values = np.tile(ramp(), (10, 10)).astype(np.float32)
    values[7, 7] = 40.0
    found = to_pixels(decode(save(Image.fromarray(values), "TIFF"))[0])[..., 0]
    assert np.abs(found - 255 * values.clip(0, 1)).max() <= 1


@pytest.mark.parametrize(("low", "high"), [(0.0, 2000.0), (-1.0, 1.0)])
def test_the_range_a_tiff_file_states_counts(low: float, high: float) -> None:
    values = (low + ramp() * (high - low) / 2).astype(np.float32)
    content = save(Image.fromarray(values), "TIFF", tiffinfo={340: low, 341: high})
    assert np.abs(to_pixels(decode(content)[0]) - levels() / 2).max() <= 1


def tiff(values: NDArray[np.generic], **tags: int) -> bytes:
    """A TIFF file by hand: `values` (h, w) or (h, w, n), with other tags where they are given."""
    height, width = values.shape[:2]
    n_samples = values.shape[2] if values.ndim == 3 else 1
    bits = values.dtype.itemsize * 8
    order = ">" if values.dtype.byteorder == ">" else "<"
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    body = values.tobytes()
    found = {256: width, 257: height, 258: bits, 259: 1, 262: 2 if n_samples >= 3 else 1, 273: 8, 277: n_samples}
    found |= {278: height, 279: len(body), 339: sample_format}
    found |= {int(name[1:]): value for name, value in tags.items()}
    after, extra, entries = 8 + len(body), b"", b""
    for tag, value in sorted(found.items()):
        if tag in (258, 339) and n_samples > 1:
            values_of_tag = struct.pack(order + f"{n_samples}H", *[value] * n_samples)
            if len(values_of_tag) > 4:
                place = struct.pack(order + "I", after + len(extra))
                extra += values_of_tag
            else:
                place = values_of_tag.ljust(4, b"\0")
            entries += struct.pack(order + "HHI", tag, 3, n_samples) + place
        else:
            entries += struct.pack(order + "HHII", tag, 4, 1, value)
    extra += b"\0" * (len(extra) % 2)
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", after + len(extra))
    return head + body + extra + struct.pack(order + "H", len(found)) + entries + bytes(4)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<u1", "<i2", ">i2", "<u4", "<i4", ">i4", "<f4", ">f4"])
def test_samples_of_tiff(dtype: str) -> None:
    kind = np.dtype(dtype)
    top = 1.0 if kind.kind == "f" else float(np.iinfo(kind).max)
    values = (ramp() * top).astype(kind)
    assert np.abs(to_pixels(decode(tiff(values))[0]) - levels()).mean() <= 1


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<f4"])
def test_tiff_in_which_white_is_zero(dtype: str) -> None:
    kind = np.dtype(dtype)
    top = 1.0 if kind.kind == "f" else float(np.iinfo(kind).max)
    found, _ = decode(tiff(((1 - ramp()) * top).astype(kind), _262=0))
    assert np.abs(to_pixels(found) - levels()).mean() <= 1


def test_twelve_bits() -> None:
    values = (ramp() * 4095).round().astype(int).reshape(-1, 2)
    packed = np.stack([values[:, 0] >> 4, (values[:, 0] & 15) << 4 | values[:, 1] >> 8, values[:, 1] & 255], axis=1)
    content = tiff(packed.astype(np.uint8).reshape(24, 48), _256=32, _258=12)
    assert np.abs(to_pixels(decode(content)[0]) - levels()).mean() <= 1


@pytest.mark.parametrize("n_samples", [3, 4])
@pytest.mark.parametrize("dtype", ["<u1", "<u2", ">u2"])
def test_colours_of_tiff(dtype: str, n_samples: int) -> None:
    top = np.iinfo(dtype).max
    values = np.repeat((ramp() * top).astype(dtype)[..., None], n_samples, axis=-1)
    if n_samples == 4:
        values[..., 3] = top
    found, _ = decode(tiff(values, **({"_338": 2} if n_samples == 4 else {})))
    assert np.abs(to_pixels(found) - levels()).mean() <= 1


@pytest.mark.parametrize(("alpha", "dtype"), [(1, "<u1"), (2, "<u1"), (1, "<u2"), (2, ">u2")])
def test_alpha_of_tiff_premultiplied_or_not(alpha: int, dtype: str) -> None:
    top = np.iinfo(dtype).max
    opacity = np.tile(np.linspace(0.2, 1, 32), (24, 1))
    colour = ramp() * (opacity if alpha == 1 else 1)
    values = (np.stack([colour, colour, colour, opacity], axis=-1) * top).round().astype(dtype)
    expected = levels() * opacity[..., None] + 255 * (1 - opacity[..., None])
    assert np.abs(to_pixels(decode(tiff(values, _338=alpha))[0]) - expected).mean() <= 1.5


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<u4", "<i2"])
def test_colours_of_tiff_that_are_not_read_are_refused_by_name(dtype: str) -> None:
    with pytest.raises(PictureError, match="TIFF"):
        decode(tiff(np.zeros((4, 4, 3), dtype)))


def png(values: NDArray[np.generic], bits: int, colour_type: int, key: bytes = b"") -> bytes:
    """A PNG file by hand: `values` (h, w * n)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = values.shape[0], values.shape[1] // {0: 1, 2: 3}[colour_type]
    if bits < 8:
        spread = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        rows = np.packbits(spread.reshape(height, -1).astype(np.uint8), axis=1)
    else:
        rows = values.astype(">u2" if bits == 16 else np.uint8)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    transparent = chunk(b"tRNS", key) if key else b""
    return b"\x89PNG\r\n\x1a\n" + header + transparent + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_png(bits: int) -> None:
    top = 2**bits - 1
    values = np.array([[0, 1, top // 2, top]]) if bits > 1 else np.array([[0, 1, 0, 1]])
    for key in sorted({int(v) for v in values[0]}):
        found = to_pixels(decode(png(values, bits, 0, struct.pack(">H", key)))[0])[0, :, 0]
        shown = values[0] * 255 // top if bits < 16 else values[0] // 257
        assert found.tolist() == np.where(values[0] == key, 255, shown).tolist()


@pytest.mark.parametrize("bits", [8, 16])
def test_the_transparent_colour_of_png(bits: int) -> None:
    """Of 16 bits all count: a pixel whose low byte differs is not transparent."""
    one = 1 if bits == 8 else 0x0101
    pixels = np.array([[10, 20, 30], [10, 20, 31], [9, 20, 30]]) * one
    if bits == 16:
        pixels = np.concatenate([pixels, [[10 * one, 20 * one, 30 * one + 1]]])
    found = to_pixels(decode(png(pixels.reshape(1, -1), bits, 2, struct.pack(">3H", *pixels[0])))[0])[0]
    assert found.tolist() == [[255, 255, 255], *(pixels[1:] // one).tolist()]


@pytest.mark.parametrize("bits", [8, 16])
def test_sixteen_bits_of_png_are_the_picture_of_eight(bits: int) -> None:
    values = np.asarray(colours()).astype(int) * (1 if bits == 8 else 257)
    assert decode(png(values.reshape(24, -1), bits, 2))[0].tobytes() == colours().tobytes()
    grey = np.asarray(colours().convert("L")).astype(int) * (1 if bits == 8 else 257)
    assert decode(png(grey, bits, 0))[0].tobytes() == colours().convert("L").convert("RGB").tobytes()


@pytest.mark.parametrize("colour_type", [0, 2])
def test_a_large_picture_of_sixteen_bits_takes_little_memory(colour_type: int) -> None:
    """At most what RGB takes in Pillow, four bytes a pixel, and a quarter more; and then 40 MB for strips."""
    n_pixels, n_samples = 16_000_000, {0: 1, 2: 3}[colour_type]
    script = (
        "import sys; sys.path.insert(0, 'tests/unit')\n"
        "import numpy as np; from test_decode_samples import png, decode\n"
        "from crossmodal.images.geometry import fit, thumbnail; from crossmodal.core.types import Preprocessing\n"
        f"content = png(np.zeros((4000, {4000 * n_samples}), np.uint16), 16, {colour_type})\n"
        "before = int(open('/proc/self/status').read().split('VmRSS:')[1].split()[0])\n"
        "open('/proc/self/clear_refs', 'w').write('5')\n"
        "picture, _ = decode(content); fit(picture, Preprocessing(224)); thumbnail(picture)\n"
        "print(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) - before)"
    )
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=root)
    assert found.stdout, found.stderr
    assert int(found.stdout) * 1024 <= 5 * n_pixels + 40e6


def test_damaged_fax_writes_nothing_to_standard_error() -> None:
    """Libtiff's own messages name no file; ours are in the report."""
    script = (
        "import io, sys; from PIL import Image; from crossmodal.images.decode import decode\n"
        "from crossmodal.core.errors import PictureError\n"
        "for compression in ('group4', 'group3', 'tiff_lzw', 'tiff_adobe_deflate', 'jpeg', 'packbits'):\n"
        "    mode = '1' if compression.startswith('g') else 'L'\n"
        "    noise, buffer = Image.effect_noise((64, 64), 50), io.BytesIO()\n"
        "    noise.convert(mode).save(buffer, 'TIFF', compression=compression)\n"
        "    content = bytearray(buffer.getvalue())\n"
        "    content[20:400] = bytes(range(1, 191)) * 2\n"
        "    for damaged in (bytes(content), buffer.getvalue()[:200] + bytes(900)):\n"
        "        try: decode(damaged)\n"
        "        except PictureError as error: print(error)\n"
    )
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=root)
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""


@pytest.mark.parametrize("kind", FORMATS)
def test_the_endings_are_those_of_pillow_and_of_other_programs(kind: str) -> None:
    known = {ending for ending, name in Image.registered_extensions().items() if name == kind}
    others = {"JPEG": {".jif", ".mpo"}, "HEIF": {".heics", ".heifs", ".hif"}}.get(kind, set())
    assert {*FORMATS[kind][1].split()} == known | others
    assert known | others <= EXTENSIONS


def test_a_bitmap_without_file_header() -> None:
    found, mime_type = decode(save(colours(), "DIB"))
    assert mime_type == "image/bmp"
    assert found.tobytes() == colours().tobytes()
