"""Conversion of any colour space and sample format to 8-bit sRGB, as image viewers show it.

To save memory (99 megapixels are 396 MB as RGB in Pillow), grey and RGB pictures are converted in place or in strips.
Only pictures with alpha, and those in other channels (CMYK, palette), exist twice for a while.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_STRIP_PIXELS = 1_000_000
_SAME_MEAN, _SAME_MAX = 0.4, 8  # 8-bit levels; sRGB profiles differ from sRGB by rounding
_SPACES = {"L": "GRAY", "I;16": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_PHOTOMETRIC, _BITS, _SAMPLE_FORMAT, _SMALLEST, _LARGEST = 262, 258, 339, 340, 341  # TIFF tags

Key = int | tuple[int, ...]


def to_rgb(picture: Image.Image) -> Image.Image:
    """A copy of the picture, of any Pillow mode, as 8-bit RGB; converted like `to_srgb` without a profile."""
    return to_srgb(picture.copy())[0]


def to_srgb(
    picture: Image.Image,
    profile: bytes = b"",
    key: Key | None = None,
    low: Image.Image | None = None,
    is_grey: bool = False,
) -> tuple[Image.Image, str]:
    """The picture as 8-bit sRGB, composited over white.

    Grey of more than 8 bits is scaled by its value range: 16-bit samples by the whole range; 32-bit integers by 0..255
    or 0..65535, and floating point by 0..1, 0..255 or 0..65535, whichever the samples fit in. Otherwise, and if samples
    are negative, the smallest sample becomes black and the largest white. A picture without a profile is taken as sRGB.

    Args:
        picture: A picture of any mode. It is consumed: changed in place and returned, or closed.
        profile: An ICC profile; applied if its colour space (grey, RGB or CMYK) is the picture's.
        key: The grey sample or RGB samples that mean "transparent".
        low: The low bytes of a 16-bit RGB picture, needed to compare it with a 16-bit key.
        is_grey: Whether an RGBA picture holds grey samples, as Pillow reads 16-bit grey with alpha.

    Returns:
        An RGB picture, and the reason why the profile was not used (empty if it was, or if there is none).
    """
    if key is None and picture.mode in ("1", "L", "RGB") and isinstance(picture.info.get("transparency"), int | tuple):
        key = picture.info["transparency"]
    if picture.mode in ("La", "RGBa"):
        picture = picture.convert(picture.mode.upper())
    elif picture.mode in ("P", "PA"):
        picture = picture.convert("RGBA" if picture.mode == "PA" or "transparency" in picture.info else "RGB")
    if picture.mode in ("1", "L", *_DEEP):
        grey, note = _grey(picture, profile, key if isinstance(key, int) else None)
        if grey is not picture:
            picture.close()
        return grey.convert("RGB"), note
    if picture.mode in ("LA", "RGBA"):
        one_channel = is_grey or picture.mode == "LA"
        alpha, opaque = picture.getchannel("A"), picture.getchannel(0) if one_channel else picture.convert("RGB")
        picture.close()
        opaque, note = _grey(opaque, profile, None) if one_channel else _coloured(opaque, profile)
        return _over_white(opaque, alpha).convert("RGB") if one_channel else _over_white(opaque, alpha), note
    mask = _equal(picture, key, low) if isinstance(key, tuple) and picture.mode == "RGB" else None
    rgb, note = _coloured(picture, profile)
    if mask is not None:
        rgb.paste("white", mask=mask)
    return rgb, note


def _over_white(opaque: Image.Image, alpha: Image.Image) -> Image.Image:
    """The picture composited over white; bit-identical to Pillow's `alpha_composite`."""
    opaque.paste("white", mask=alpha.point([255 - value for value in range(256)]))
    return opaque


def _equal(picture: Image.Image, key: tuple[int, ...], low: Image.Image | None) -> Image.Image:
    """A mask of the pixels whose samples equal the key."""
    mask = Image.new("L", picture.size)
    high = [value >> 8 if low is not None else value & 255 for value in key]
    for box in _strips(picture.size):
        same = (np.asarray(picture.crop(box)) == high).all(axis=-1)
        if low is not None:
            same &= (np.asarray(low.crop(box)) == [value & 255 for value in key]).all(axis=-1)
        mask.paste(Image.fromarray(same.astype(np.uint8) * 255), box)
    return mask


def _strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Boxes (left, top, right, bottom) of horizontal strips that cover a picture of (width, height)."""
    width, height = size
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


def _coloured(picture: Image.Image, profile: bytes) -> tuple[Image.Image, str]:
    """A picture of several channels as sRGB, and why the profile was not used."""
    if picture.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return _required(ImageCms.buildTransform(lab, ImageCms.createProfile("sRGB"), "LAB", "RGB").apply(picture)), ""
    if picture.mode not in ("RGB", "CMYK"):
        picture = picture.convert("RGB")
    if not profile:
        return picture if picture.mode == "RGB" else picture.convert("RGB"), ""
    transform, note = _conversion(profile, picture.mode)
    if transform is None:
        return picture if picture.mode == "RGB" else picture.convert("RGB"), note
    converted = transform.apply_in_place(picture) if picture.mode == "RGB" else transform.apply(picture)
    return _required(converted), note


def _required(picture: Image.Image | None) -> Image.Image:
    assert picture is not None  # Pillow's stubs allow it
    return picture


@lru_cache(maxsize=16)
def _conversion(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """The transform to sRGB, or None if the profile is sRGB or not usable; and the reason if it is not usable."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = str(opened.profile.xcolor_space).strip()
        if space != _SPACES[mode]:
            if space == "RGB" and _SPACES[mode] == "GRAY" and _conversion(profile, "RGB") == (None, ""):
                return None, ""  # an sRGB profile on a grey picture changes nothing
            return None, f"the colour profile was not used: it is for {space}, and the picture is {_SPACES[mode]}"
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        if mode == "I;16":
            flags |= ImageCms.Flags.NOOPTIMIZE  # the optimised curve is too coarse for shadows
        transform = ImageCms.buildTransform(
            opened, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        return None, f"the colour profile is not usable, and the picture is read as sRGB: {error}"
    assert isinstance(transform, ImageCms.ImageCmsTransform)
    return (None if mode != "CMYK" and _is_srgb(transform, mode) else transform), ""


def _is_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform leaves colours unchanged, within rounding; the profile's name is not considered."""
    ramp = np.arange(256, dtype=np.uint8)
    if mode == "L":
        before = np.repeat(ramp[None, :, None], 3, axis=2)
    elif mode == "I;16":
        return False  # 16-bit pictures need the table in any case
    else:
        steps = ramp[::17]
        grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        before = np.concatenate([grid, np.repeat(ramp[None, :, None], 3, axis=2)], axis=1)
    picture = Image.fromarray(before if mode == "RGB" else before[..., 0])
    after = np.asarray(_required(transform.apply(picture)), np.int16)
    difference = np.abs(after - before)
    return bool(difference.mean() <= _SAME_MEAN and difference.max() <= _SAME_MAX)


def _grey(picture: Image.Image, profile: bytes, key: int | None) -> tuple[Image.Image, str]:
    """A one-channel picture as 8-bit grey with key and profile applied, and why the profile was not used."""
    if picture.mode == "1":
        picture = picture.convert("L")
    table, note = _grey_table(profile, picture.mode)
    if picture.mode != "L":
        return _eight_bits(picture, table, key), note
    grey = picture if table is None else picture.point(table.tolist())
    if key is not None:
        grey.paste(255, mask=picture.point([255 * (value == key) for value in range(256)]))
    return grey, note


def _grey_table(profile: bytes, mode: str) -> tuple[NDArray[np.uint8] | None, str]:
    """The sRGB level of each sample value: (256,), or (65536,) for deep samples; None if 8-bit samples need none."""
    plain = None if mode == "L" else (np.arange(65536) // 257).astype(np.uint8)
    if not profile:
        return plain, ""
    transform, note = _conversion(profile, "L")
    if transform is None:
        return plain, note
    if mode == "L":
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        transform, note = _conversion(profile, "I;16")
        ramp = Image.frombytes("I;16", (256, 256), np.arange(65536, dtype="<u2").tobytes())
    if transform is None:
        return plain, note
    return np.asarray(_required(transform.apply(ramp)))[..., 1].reshape(-1).copy(), note


def _eight_bits(picture: Image.Image, table: NDArray[np.uint8] | None, key: int | None) -> Image.Image:
    """Grey of more than 8 bits as 8-bit grey, looked up in a table of 65,536 levels."""
    assert table is not None
    tags: Any = getattr(picture, "tag_v2", {})
    is_unsigned = picture.mode == "I" and tags.get(_BITS) == (32,) and tags.get(_SAMPLE_FORMAT, (1,)) == (1,)
    low, high = _range(picture, tags, is_unsigned)
    if tags.get(_PHOTOMETRIC) == 0:
        table = table[::-1]
    grey = Image.new("L", picture.size)
    for box in _strips(picture.size):
        values = np.asarray(picture.crop(box))
        if is_unsigned:
            values = values.view(np.uint32)
        if values.dtype.itemsize == 2 and (low, high) == (0, 65535):
            levels = table[values]
        else:
            with np.errstate(over="ignore"):  # nan_to_num makes infinity the largest number
                scaled = (np.nan_to_num(values.astype(np.float64), nan=low) - low) * (65535 / (high - low))
            levels = table[np.rint(scaled.clip(0, 65535)).astype(np.uint16)]
        if key is not None:
            levels = np.where(values == key, np.uint8(255), levels)
        grey.paste(Image.fromarray(levels), box)
    return grey


def _range(picture: Image.Image, tags: Any, is_unsigned: bool) -> tuple[float, float]:
    """The sample values of black and white."""
    if picture.mode.startswith("I;16"):
        bits = tags.get(_BITS, (16,))[0]
        return 0, 2**bits - 1 if 8 < bits < 16 else 65535
    if picture.mode == "F":
        return _float_range(picture, tags)
    low, high = (float(value) for value in picture.getextrema())  # type: ignore[arg-type]
    if is_unsigned and low < 0:
        return 0, 2**32 - 1
    if low >= 0 and tags.get(_BITS) == (16,):
        return 0, 32767  # signed
    if low >= 0 and high <= 65535:
        return 0, 255 if high <= 255 else 65535
    return low, high


def _float_range(picture: Image.Image, tags: Any) -> tuple[float, float]:
    """The sample values of black and white, from the file's tags or from most of its samples.

    A few samples above white count as highlights, a few below 0 as ringing.
    """
    smallest, largest = (_number(tags.get(tag)) for tag in (_SMALLEST, _LARGEST))
    if smallest is not None and largest is not None and smallest < largest:
        return smallest, largest
    step = max(1, picture.width * picture.height // _STRIP_PIXELS)
    sample = np.concatenate([np.asarray(picture.crop(box)).reshape(-1)[::step] for box in _strips(picture.size)])
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0, 1
    low, high = float(sample.min()), float(np.percentile(sample, 99.5))
    for white in (1, 255, 65535):
        if high <= 1.2 * white and (white == 1 or high >= white / 16):
            if low >= -0.05 * white:
                return 0, white
            break
    high = float(sample.max())
    return (low, high) if low < high else (low - 1, low)


def _number(value: Any) -> float | None:
    """The first number of a TIFF tag's value; None if there is none."""
    while isinstance(value, tuple) and value:
        value = value[0]
    return float(value) if isinstance(value, int | float) else None
