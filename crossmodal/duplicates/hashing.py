"""What is compared of a picture: its thumbnail as a small grey square, and perceptual hashes of 64 bits.

The squares ignore the aspect ratio, so the square of a picture turned by 90 degrees is the transpose of a mirror image.
A hash has the signs of low frequencies, which the eight orientations only permute and flip: the hash of a turned or
mirrored picture follows from that of the picture.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dct  # type: ignore[import-untyped]

SIDE = 64
"""Pixels of a side of a square."""
N_WINDOWS = 9
WINDOW = 0.87
"""The share of each axis that a window shows."""
_FREQUENCIES, _HASHED_SIDE = 8, 32

Squares = NDArray[np.uint8]  # (n, SIDE, SIDE)
Hashes = NDArray[np.uint64]  # (n,) or (n, N_WINDOWS)
Floats = NDArray[np.float32]


class Orientation(NamedTuple):
    """How a copy is oriented: the picture is transposed, then its rows and its columns are reversed, if so named."""

    is_transposed: bool
    has_reversed_rows: bool
    has_reversed_columns: bool

    def of(self, squares: NDArray[Any]) -> NDArray[Any]:
        """Squares (..., side, side) in this orientation."""
        turned = np.swapaxes(squares, -1, -2) if self.is_transposed else squares
        return turned[..., :: -1 if self.has_reversed_rows else 1, :: -1 if self.has_reversed_columns else 1]

    @property
    def name(self) -> str:
        """What was done to the picture; empty for nothing."""
        return _NAMES[ORIENTATIONS.index(self)]


ORIENTATIONS = tuple(Orientation(bool(n & 4), bool(n & 2), bool(n & 1)) for n in range(8))
"""All orientations, the upright one first."""
_NAMES = ("", "mirrored", "mirrored upside down", "turned by 180°", "mirrored and turned", "turned clockwise",
          "turned anticlockwise", "mirrored and turned")  # fmt: skip


def square_of(thumbnail: bytes) -> NDArray[np.uint8]:
    """A thumbnail in grey, squeezed into a square (SIDE, SIDE).

    Raises:
        OSError: The thumbnail is damaged.
    """
    with Image.open(io.BytesIO(thumbnail)) as picture:
        picture.draft("L", (SIDE, SIDE))  # decodes at a fraction of the size
        return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def hashes_of(squares: Squares) -> Hashes:
    """The perceptual hashes (n,) of squares: the signs of their lowest 8 x 8 frequencies, without the mean.

    Source: Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions (the DCT hash).
    """
    return _signs(_halved(squares), _lowest(1.0, 0.0), _lowest(1.0, 0.0))


def windows_of(squares: Squares) -> Hashes:
    """The hashes (n, N_WINDOWS) of nine overlapping windows of each square, which crops of the picture resemble."""
    small = _halved(squares)
    axes = [_lowest(WINDOW, place) for place in (0.0, 0.5, 1.0)]
    return np.stack([_signs(small, rows, columns) for rows in axes for columns in axes], 1)


def _halved(squares: Squares) -> Floats:
    rows: Floats = squares[:, ::2].astype(np.float32) + squares[:, 1::2]  # sums of slices: a mean of short axes is slow
    halved: Floats = (rows[:, :, ::2] + rows[:, :, 1::2]) / np.float32(4)
    return halved


@cache
def _lowest(share: float, place: float) -> Floats:
    """The matrix (8, 32) from an axis to the lowest frequencies of a window, which lies at 0 (start) to 1 (end)."""
    n = _HASHED_SIDE
    points = np.clip((np.arange(n) + 0.5) * share + (1 - share) * place * n - 0.5, 0, n - 1)
    interpolation = np.maximum(0, 1 - np.abs(points[:, None] - np.arange(n)))
    cosines = dct(np.eye(n), axis=0, norm="ortho")[:_FREQUENCIES]
    lowest: Floats = (cosines @ interpolation).astype(np.float32)
    return lowest


def _signs(small: Floats, rows: Floats, columns: Floats) -> Hashes:
    return _packed(np.greater(rows @ small @ columns.T, 0))


def oriented(hashes: Hashes, orientation: Orientation) -> Hashes:
    """The hashes (n,) of the pictures in an orientation."""
    bits = np.unpackbits(hashes.view(np.uint8), bitorder="little").reshape(-1, _FREQUENCIES, _FREQUENCIES)
    odd = np.arange(_FREQUENCIES, dtype=np.uint8) % 2  # reversing an axis changes the signs of its odd frequencies
    flips = odd[:, None] * orientation.has_reversed_rows ^ odd * orientation.has_reversed_columns
    return _packed((bits.swapaxes(1, 2) if orientation.is_transposed else bits) ^ flips.astype(np.uint8))


def _packed(bits: NDArray[Any]) -> Hashes:
    flat = bits.reshape(len(bits), _FREQUENCIES**2).astype(np.uint8)
    flat[:, 0] = 0  # the mean
    packed: Hashes = np.packbits(flat, axis=1, bitorder="little").view(np.uint64)[:, 0]
    return packed


def distances(one: Hashes, other: Hashes) -> NDArray[np.uint8]:
    """The numbers of bits that differ, elementwise."""
    counted: NDArray[np.uint8] = np.bitwise_count(one ^ other)
    return counted
