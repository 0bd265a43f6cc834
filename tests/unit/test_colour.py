"""Colour spaces and sample formats: against values worked out by hand from the profiles' definitions."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from crossmodal.images.colour import to_srgb
from crossmodal.images.decode import decode, read, to_pixels

pillow_heif.register_heif_opener()

Values = NDArray[np.float64]
Curve = Callable[[Values], Values]

SRGB_D50 = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
"""Linear sRGB to XYZ relative to D50. Source: Lindbloom, RGB/XYZ matrices, Bradford-adapted."""

PRIMARIES = {
    "srgb": SRGB_D50,
    "adobe": np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]),
    "p3": np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]),
    "prophoto": np.array([[0.79767, 0.13519, 0.03134], [0.28804, 0.71188, 0.00009], [0.0, 0.0, 0.82491]]),
    "2020": np.array([[0.67348, 0.16566, 0.12505], [0.27904, 0.67534, 0.04560], [-0.00194, 0.02998, 0.79686]]),
}  # columns: XYZ of red, green, blue


def gamma(exponent: float) -> Curve:
    return lambda values: values**exponent


def srgb_curve(values: Values) -> Values:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def dot_gain(values: Values) -> Values:
    """A press on which a half tone of 50 % prints as 70 %."""
    ink = 1 - values
    return 1 - np.minimum(1, ink + 4 * 0.2 * ink * (1 - ink))


def profile_of(space: bytes, matrix: Values | None, curve: Curve, n_points: int = 1024) -> bytes:
    """An ICC profile of version 2.4 with a table for each curve."""

    def xyz(values: Values) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(v) * 65536) for v in values))

    points = np.rint(curve(np.linspace(0, 1, n_points)) * 65535).astype(">u2").tobytes()
    trc = b"curv\0\0\0\0" + struct.pack(">I", n_points) + points
    tags = {b"desc": b"desc" + bytes(87), b"wtpt": xyz(np.array([0.9642, 1.0, 0.8249]))}
    if matrix is None:
        tags[b"kTRC"] = trc
    else:
        for name, column in zip((b"r", b"g", b"b"), matrix.T, strict=True):
            tags |= {name + b"XYZ": xyz(column), name + b"TRC": trc}
    at = 132 + 12 * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += struct.pack(">4sII", name, at + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    header = struct.pack(">I4sI4s4s4s", at + len(bodies), b"", 0x02400000, b"mntr", space, b"XYZ ") + bytes(12)
    return (header + b"acsp").ljust(128, b"\0") + table + bodies


def by_hand(pixels: Values, matrix: Values, curve: Curve) -> Values:
    """(h, w, 3) levels of sRGB for (h, w, 3) samples in [0, 1] of another space."""
    linear = curve(pixels) @ matrix.T @ np.linalg.inv(SRGB_D50).T
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def grey_by_hand(values: Values, curve: Curve) -> Values:
    return by_hand(np.repeat(values[..., None], 3, axis=-1), SRGB_D50, curve)


def hues(width: int = 48, height: int = 32) -> NDArray[np.uint8]:
    """Smooth colours over most of the cube."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height - 1, width - 1])[:, None, None]
    return (255 * np.stack([x, y, (1 - x) * (0.3 + 0.7 * y)], axis=-1)).round().astype(np.uint8)


def ramp(dtype: str = "uint8") -> NDArray[np.generic]:
    top = np.iinfo(dtype).max
    return np.linspace(0, top, 1024).round().astype(dtype).reshape(16, 64)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def mean_difference(content: bytes, expected: Values) -> float:
    return float(np.abs(to_pixels(decode(content)[0]) - expected).mean())


SPACES = {
    "gamma 1.8": ("srgb", gamma(1.8)), "gamma 2.2": ("srgb", gamma(2.2)), "Adobe RGB": ("adobe", gamma(563 / 256)),
    "Display P3": ("p3", srgb_curve), "ProPhoto": ("prophoto", gamma(1.8)), "Rec. 2020": ("2020", gamma(2.4)),
    "linear": ("srgb", gamma(1.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
def test_rgb_profiles(name: str) -> None:
    primaries, curve = SPACES[name]
    matrix = PRIMARIES[primaries]
    content = encoded(Image.fromarray(hues()), icc_profile=profile_of(b"RGB ", matrix, curve))
    assert mean_difference(content, by_hand(hues() / 255, matrix, curve)) <= 0.6


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 98, "subsampling": 0}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}), ("AVIF", {"quality": 98, "subsampling": "4:4:4"}),
        ("HEIF", {"quality": 98, "chroma": 444}),
    ],
)  # fmt: skip
def test_a_profile_counts_in_every_format(kind: str, options: dict[str, object]) -> None:
    matrix, curve = PRIMARIES["adobe"], gamma(2.2)
    content = encoded(Image.fromarray(hues()), kind, icc_profile=profile_of(b"RGB ", matrix, curve), **options)
    assert mean_difference(content, by_hand(hues() / 255, matrix, curve)) <= 1.5


GREYS = {"gamma 1.8": gamma(1.8), "gamma 2.2": gamma(2.2), "linear": gamma(1.0), "dot gain 20 %": dot_gain}


@pytest.mark.parametrize("name", GREYS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_profiles(name: str, kind: str, dtype: str) -> None:
    values = ramp(dtype)
    content = encoded(Image.fromarray(values), kind, icc_profile=profile_of(b"GRAY", None, GREYS[name]))
    assert mean_difference(content, grey_by_hand(values / np.iinfo(dtype).max, GREYS[name])) <= 0.6


def test_a_linear_grey_of_sixteen_bits_keeps_its_shadows() -> None:
    values = np.arange(0, 2048, 2, dtype=np.uint16).reshape(16, 64)
    content = encoded(Image.fromarray(values), icc_profile=profile_of(b"GRAY", None, gamma(1.0)))
    assert mean_difference(content, grey_by_hand(values / 65535, gamma(1.0))) <= 0.6


def test_lab() -> None:
    """CIE Lab of D50, which TIFF has with signed a and b."""
    levels = [(255, 0, 0), (128, 0, 0), (139, 67, 48), (112, 206, 30)]  # white, grey, a red, a green
    lab = Image.frombytes("LAB", (4, 1), bytes(v for pixel in levels for v in pixel))
    found = to_pixels(decode(encoded(lab, "TIFF"))[0])[0].astype(int)

    def linear(level: float) -> float:
        return level**3 if level > 6 / 29 else 3 * (6 / 29) ** 2 * (level - 4 / 29)

    for pixel, (light, a, b) in zip(found, levels, strict=True):
        a, b = (v - 256 if v > 127 else v for v in (a, b))
        y = (light / 255 * 100 + 16) / 116
        xyz = np.array([0.9642 * linear(y + a / 500), linear(y), 0.8249 * linear(y - b / 200)])
        rgb = (np.linalg.inv(SRGB_D50) @ xyz).clip(0, 1)
        assert pixel == pytest.approx(by_hand(rgb, SRGB_D50, gamma(1.0)), abs=1.5)


def test_cmyk_with_a_profile_that_is_none_is_converted_as_without() -> None:
    cmyk = Image.fromarray(hues()).convert("CMYK")
    plain, odd = encoded(cmyk, "TIFF"), encoded(cmyk, "TIFF", icc_profile=profile_of(b"RGB ", SRGB_D50, gamma(1.8)))
    assert decode(plain)[0].tobytes() == decode(odd)[0].tobytes()
    assert "it is for RGB, and the picture is CMYK" in read(odd).notes[0]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_colours_are_converted_before_they_are_laid_over_white(mode: str) -> None:
    alpha = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (16, 1))
    values = ramp()
    is_grey = mode == "LA"
    layers = [values, alpha] if is_grey else [values, values[::-1], values[:, ::-1], alpha]
    picture = Image.merge(mode, [Image.fromarray(layer) for layer in layers])
    profile = profile_of(b"GRAY" if is_grey else b"RGB ", None if is_grey else PRIMARIES["p3"], gamma(1.8))
    if is_grey:
        colours = grey_by_hand(values / 255, gamma(1.8))
    else:
        colours = by_hand(np.stack(layers[:3], axis=-1) / 255, PRIMARIES["p3"], gamma(1.8))
    opacity = alpha[..., None] / 255
    assert mean_difference(encoded(picture, icc_profile=profile), colours * opacity + 255 * (1 - opacity)) <= 0.6


def test_a_palette_with_a_profile() -> None:
    picture = Image.fromarray(hues()).quantize(64)
    expected = by_hand(np.asarray(picture.convert("RGB")) / 255, PRIMARIES["adobe"], gamma(2.2))
    content = encoded(picture, icc_profile=profile_of(b"RGB ", PRIMARIES["adobe"], gamma(2.2)))
    assert mean_difference(content, expected) <= 0.6


def srgb_variants() -> dict[str, bytes]:
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return {
        "built-in": own,
        "a table of 1,024": profile_of(b"RGB ", SRGB_D50, srgb_curve),
        "a coarse table": profile_of(b"RGB ", SRGB_D50, srgb_curve, n_points=64),
        "rounded primaries": profile_of(b"RGB ", SRGB_D50.round(4), srgb_curve),
        "padded": own + bytes(2_000_000),
    }


@pytest.mark.parametrize("name", srgb_variants())
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_every_srgb_profile_leaves_the_samples_as_they_are(name: str, mode: str, kind: str) -> None:
    picture = Image.fromarray(hues()).convert(mode)
    content = encoded(picture, kind, icc_profile=srgb_variants()[name])
    assert decode(content)[0].tobytes() == decode(encoded(picture, kind))[0].tobytes()
    assert read(content).notes == ()


def test_a_grey_srgb_profile_leaves_the_samples_as_they_are() -> None:
    for values in (ramp(), ramp("uint16")):
        picture = Image.fromarray(values)
        content = encoded(picture, icc_profile=profile_of(b"GRAY", None, srgb_curve))
        assert decode(content)[0].tobytes() == decode(encoded(picture))[0].tobytes()


GOOD = profile_of(b"RGB ", SRGB_D50, gamma(1.8))


@pytest.mark.parametrize(
    "profile",
    [b"x", bytes(500), GOOD[:100], GOOD[:200], GOOD[:300],
     GOOD[:36] + b"none" + GOOD[40:], GOOD[:12] + b"link" + GOOD[16:],
     GOOD[:128] + b"\xff" * 400, bytes(1_200_000)],
    ids=["letter", "zeros", "cut header", "cut table", "cut tags", "no signature", "a link", "wild tags", "megabyte"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_damaged_profile_costs_a_note(profile: bytes, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    picture, _, notes = read(encoded(Image.fromarray(hues()), kind, icc_profile=profile, **options))
    assert picture.tobytes() == decode(encoded(Image.fromarray(hues()), kind, **options))[0].tobytes()
    assert [note for note in notes if "profile" in note]


@pytest.mark.parametrize(("mode", "space"), [("L", b"RGB "), ("RGB", b"GRAY"), ("I;16", b"RGB ")])
def test_a_profile_of_another_kind_is_not_used(mode: str, space: bytes) -> None:
    picture = Image.fromarray(ramp("uint16") if mode == "I;16" else ramp() if mode == "L" else hues())
    profile = profile_of(space, None if space == b"GRAY" else SRGB_D50, gamma(1.0))
    content = encoded(picture, icc_profile=profile)
    assert decode(content)[0].tobytes() == decode(encoded(picture))[0].tobytes()
    assert "was not used" in read(content).notes[0]


def test_a_grey_picture_with_an_rgb_profile_of_srgb_needs_no_note() -> None:
    content = encoded(Image.fromarray(ramp()), "JPEG", icc_profile=profile_of(b"RGB ", SRGB_D50, srgb_curve))
    assert read(content).notes == ()


def with_chunks(content: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file with more chunks after its header."""
    from zlib import crc32

    added = b"".join(struct.pack(">I", len(b)) + k + b + struct.pack(">I", crc32(k + b)) for k, b in chunks)
    return content[:33] + added + content[33:]


ADOBE_XY = struct.pack(">8I", *(round(v * 1e5) for v in (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)))
SRGB_XY = struct.pack(">8I", *(round(v * 1e5) for v in (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)))
GAMMA_22, GAMMA_18, GAMMA_1 = (struct.pack(">I", v) for v in (45455, 55556, 100000))


@pytest.mark.parametrize(
    ("chunks", "space", "curve"),
    [
        ([(b"gAMA", GAMMA_18)], "srgb", gamma(1.8)),
        ([(b"gAMA", GAMMA_1), (b"cHRM", SRGB_XY)], "srgb", gamma(1.0)),
        ([(b"gAMA", GAMMA_22), (b"cHRM", ADOBE_XY)], "adobe", gamma(2.2)),
        ([(b"cICP", bytes([12, 13, 0, 1]))], "p3", srgb_curve),
        ([(b"cICP", bytes([9, 8, 0, 1])), (b"gAMA", GAMMA_22)], "2020", gamma(1.0)),
    ],
)
def test_png_chunks_that_name_a_colour_space(chunks: list[tuple[bytes, bytes]], space: str, curve: Curve) -> None:
    content = with_chunks(encoded(Image.fromarray(hues())), *chunks)
    assert mean_difference(content, by_hand(hues() / 255, PRIMARIES[space], curve)) <= 1


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", GAMMA_22)],
        [(b"gAMA", GAMMA_22), (b"cHRM", SRGB_XY)],
        [(b"sRGB", b"\0"), (b"gAMA", GAMMA_1)],
        [(b"cHRM", ADOBE_XY)],
        [(b"gAMA", b"\0\0\0\0")],
        [(b"gAMA", GAMMA_1[:2])],
        [(b"gAMA", GAMMA_1), (b"cHRM", bytes(32))],
        [(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", GAMMA_1)],
        [(b"cICP", bytes([2, 2, 0, 1]))],
    ],
)
def test_png_chunks_that_say_srgb_or_nothing(chunks: list[tuple[bytes, bytes]]) -> None:
    plain = encoded(Image.fromarray(hues()))
    assert decode(with_chunks(plain, *chunks))[0].tobytes() == decode(plain)[0].tobytes()


def test_a_grey_png_of_linear_light() -> None:
    content = with_chunks(encoded(Image.fromarray(ramp())), (b"gAMA", GAMMA_1))
    assert mean_difference(content, grey_by_hand(ramp() / 255, gamma(1.0))) <= 0.6


@pytest.mark.parametrize("where", ["iCCP", "gAMA"])
def test_grey_of_sixteen_bits_with_alpha(where: str) -> None:
    """Pillow reads it as RGBA, and its profile is one of grey."""
    from zlib import compress, crc32

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc32(kind + body))

    values, opaque = ramp("uint16"), np.full((16, 64), 65535)
    rows = b"".join(b"\0" + row.tobytes() for row in np.stack([values, opaque], axis=-1).astype(">u2"))
    profile = b"grey\0\0" + compress(profile_of(b"GRAY", None, gamma(1.0)))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 16, 16, 4, 0, 0, 0))
    stated = chunk(where.encode(), profile if where == "iCCP" else GAMMA_1)
    content = b"\x89PNG\r\n\x1a\n" + header + stated + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")
    assert mean_difference(content, grey_by_hand(values / 65535, gamma(1.0))) <= 1


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_is_neither_black_nor_burnt_out(transfer: int) -> None:
    signal = np.linspace(0, 1, 1024).reshape(16, 64)
    picture = Image.fromarray(np.repeat((signal * 255).round().astype(np.uint8)[..., None], 3, axis=-1))
    found = to_pixels(decode(with_chunks(encoded(picture), (b"cICP", bytes([9, transfer, 0, 1]))))[0])[..., 1].reshape(
        -1
    )
    assert (np.diff(found.astype(int)) >= 0).all()
    assert found[0] == 0
    white = found[int({16: 0.58, 18: 0.75}[transfer] * 1023)]  # the signal of diffuse white, ITU-R BT.2408
    assert 160 <= white <= 235


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_nclx_of_display_p3(kind: str) -> None:
    options: dict[str, object] = {"quality": 98, "color_primaries": 12, "transfer_characteristics": 13, "chroma": 444}
    content = encoded(Image.fromarray(hues()), "HEIF", **options)
    if kind == "AVIF":
        plain = encoded(Image.fromarray(hues()), "AVIF", quality=98, subsampling="4:4:4")
        assert plain.count(b"colrnclx\0\1") == 1
        content = plain.replace(b"colrnclx\0\1", b"colrnclx\0\x0c")
    assert mean_difference(content, by_hand(hues() / 255, PRIMARIES["p3"], srgb_curve)) <= 1.5


def test_transparency_is_laid_over_white_as_pillow_does() -> None:
    alpha, value = np.mgrid[0:256, 0:256].astype(np.uint8)
    picture = Image.fromarray(np.dstack([value, value[::-1], value, alpha]))
    theirs = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    assert to_srgb(picture.copy())[0].tobytes() == theirs.tobytes()
