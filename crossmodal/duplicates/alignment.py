"""Whether two squares show the same picture, one of them perhaps cropped, tilted, written on or of another brightness.

A search over crops finds the rough position at a quarter of the size. Then an affine map is fitted (Lucas-Kanade), and
the details are compared within the part that both show. Pairs are aligned in batches of arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter  # type: ignore[import-untyped]

from crossmodal.core.ahead import DECODERS
from crossmodal.duplicates.hashing import WINDOW, Floats, Squares

LEAST_SCORE = 0.75
"""The lowest correlation of the details of two versions of one picture."""
LEAST_SHARE = 0.5
"""The smallest part of each picture that the other one shows."""
_ALIKE = 0.9
"""Pairs with this score need no further fit."""
_LEAST_COARSE = 0.6
"""Pairs with a lower correlation at `_COARSE` pixels are different pictures."""
_COARSE = 16
_STEPS = ((32, 8), (64, 3))
"""(side in pixels, iterations) of the fit."""
_BATCH = 128
_AROUND = 9
"""Side in pixels of the squares whose mean and contrast are removed around each pixel."""
_SAME_PLACE = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


@dataclass(frozen=True)
class Alignments:
    """How the second picture of each of n pairs shows the first."""

    maps: Floats  # (n, 2, 3): points (x, y, 1) of the first square to those of the second, x and y from -1 to 1
    scores: Floats  # (n,): the correlation of the details, up to 1; -1 for those that differ already in the rough
    shares: Floats  # (n, 2): the part of the first picture that the second shows, and the reverse

    @property
    def are_same(self) -> NDArray[np.bool_]:
        """Whether the pairs are versions of one picture."""
        same: NDArray[np.bool_] = (self.scores >= LEAST_SCORE) & (self.shares.min(axis=1) >= LEAST_SHARE)
        return same

    @property
    def degrees(self) -> Floats:
        """The angles (n,) between the pictures, without a sign."""
        (a, b), (c, d) = np.moveaxis(self.maps[:, :, :2], 0, 2)
        angles: Floats = np.abs(np.degrees(np.arctan2(c - b, a + d)))
        return angles

    def part(self, places: NDArray[np.int64]) -> Alignments:
        """The alignments at these places."""
        return Alignments(self.maps[places], self.scores[places], self.shares[places])

    @classmethod
    def joined(cls, parts: Sequence[Alignments]) -> Alignments:
        """The alignments of all parts."""
        columns = [(part.maps, part.scores, part.shares) for part in parts]
        none = np.empty((0, 2, 3), np.float32), np.empty(0, np.float32), np.empty((0, 2), np.float32)
        return cls(*(np.concatenate(column) for column in zip(none, *columns, strict=True)))


def align(ones: Squares, others: Squares) -> Alignments:
    """Aligns pairs of squares (n, SIDE, SIDE), several batches at a time."""
    starts = range(0, len(ones), _BATCH)
    with ThreadPoolExecutor(DECODERS) as pool:
        parts = pool.map(lambda at: _align(ones[at : at + _BATCH], others[at : at + _BATCH]), starts)
        return Alignments.joined(list(parts))


def _align(ones: Squares, others: Squares) -> Alignments:
    n = len(ones)
    maps, scores, shares = np.tile(_SAME_PLACE, (n, 1, 1)), np.full(n, -1, np.float32), np.ones((n, 2), np.float32)
    starts, correlations = _coarse(ones, others)
    rows = np.flatnonzero(correlations >= _LEAST_COARSE)
    if len(rows):
        scores[rows], shares[rows] = _compared(ones[rows], others[rows], maps[rows])
    rows = rows[scores[rows] < _ALIKE]
    if len(rows):
        fitted = _fitted(ones[rows], others[rows], starts[rows])
        found, parts = _compared(ones[rows], others[rows], fitted)
        is_better = found > scores[rows]
        rows = rows[is_better]
        maps[rows], scores[rows], shares[rows] = fitted[is_better], found[is_better], parts[is_better]
    return Alignments(maps, scores, shares)


# -- the rough position


@cache
def _crops() -> tuple[Floats, Floats, Floats]:
    """Maps of an axis (m, 2), scale and shift; their interpolation (m, side, side); what is inside (m, side)."""
    edge = 1 - WINDOW
    crops = [(1.0, 0.0)]
    crops += [crop for shift in (-edge, 0, edge) for crop in ((WINDOW, shift), (1 / WINDOW, -shift / WINDOW))]
    maps = np.array(crops, np.float32)
    points = maps[:, :1] * _grid(_COARSE) + maps[:, 1:]
    at = np.clip((points + 1) * _COARSE / 2 - 0.5, 0, _COARSE - 1)
    weights = np.maximum(0, 1 - np.abs(at[:, :, None] - np.arange(_COARSE)))
    return maps, weights.astype(np.float32), (np.abs(points) <= 1).astype(np.float32)


def _coarse(ones: Squares, others: Squares) -> tuple[Floats, Floats]:
    """The best of the maps (n, 2, 3) that crop along the axes, and the correlations (n,) with them."""
    crops, weights, inside = _crops()
    m, n = len(crops), len(ones)
    first, second = (_zoomed(part, _COARSE) for part in (ones, others))
    rows = weights[None] @ (second - second.mean((1, 2), keepdims=True))[:, None]
    seen = rows[:, :, None] @ weights.transpose(0, 2, 1)[None, None]  # (n, m, m, side, side)
    mask = (inside[:, None, :, None] * inside[None, :, None, :]).reshape(m * m, -1)
    seen = seen.reshape(n, m * m, -1) * mask
    a = (first - first.mean((1, 2), keepdims=True)).reshape(n, -1)
    size = mask.sum(1)
    mean_a, mean_b = a @ mask.T / size, seen.sum(2) / size
    spread_a = (a * a) @ mask.T / size - mean_a**2
    spread_b = np.einsum("nmp,nmp->nm", seen, seen) / size - mean_b**2
    both = (seen @ a[:, :, None])[:, :, 0] / size - mean_a * mean_b
    correlations = both / np.sqrt(np.maximum(spread_a * spread_b, 1e-6))
    best = correlations.argmax(1)
    maps = np.zeros((n, 2, 3), np.float32)
    maps[:, 0, 0], maps[:, 0, 2] = crops[best % m].T
    maps[:, 1, 1], maps[:, 1, 2] = crops[best // m].T
    return maps, correlations[np.arange(n), best]


# -- the fit


def _fitted(ones: Squares, others: Squares, maps: Floats) -> Floats:
    """The maps (n, 2, 3) after a robust affine fit by the inverse compositional method.

    Source: Baker and Matthews 2004, Lucas-Kanade 20 Years On.
    """
    for side, iterations in _STEPS:
        a, b = _zoomed(ones, side), _zoomed(others, side)
        dy, dx = np.gradient(a, 2 / side, axis=(1, 2))
        x, y = np.meshgrid(_grid(side), _grid(side))
        slopes = np.stack([dx * x, dx * y, dx, dy * x, dy * y, dy], 1).reshape(len(a), 6, -1)
        for _ in range(iterations):
            error, weights = _errors(a, *_warped(b, maps))
            weighted = slopes * weights.reshape(len(a), 1, -1)
            hessian = weighted @ slopes.transpose(0, 2, 1)
            hessian += 1e-4 * (np.trace(hessian, axis1=1, axis2=2)[:, None, None] + 1) * np.eye(6, dtype=np.float32)
            step = np.linalg.solve(hessian, weighted @ error.reshape(len(a), -1, 1)).reshape(-1, 2, 3)
            maps = _composed(maps, np.clip(step, -0.15, 0.15))
    return maps


def _errors(a: Floats, seen: Floats, inside: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The differences (n, side, side) that brightness and contrast leave, and weights that are low for outliers."""
    n = np.maximum(inside.sum((1, 2), keepdims=True), 1)
    a, seen = ((part - (part * inside).sum((1, 2), keepdims=True) / n) * inside for part in (a, seen))
    power_a, power_b = ((part * part).sum((1, 2), keepdims=True) for part in (a, seen))
    error = np.clip(np.sqrt(power_a / np.maximum(power_b, 1e-6)), 0.25, 4) * seen - a
    scale = 2 * np.abs(error).sum((1, 2), keepdims=True) / n + 1
    return error, inside / (1 + (error / scale) ** 2)


def _composed(maps: Floats, step: Floats) -> Floats:
    """The maps after the inverse of (1 + step)."""
    last = np.broadcast_to(np.array([[0, 0, 1]], np.float32), (len(maps), 1, 3))
    moved = np.concatenate([step + _SAME_PLACE, last], 1)
    composed: Floats = (np.concatenate([maps, last], 1) @ np.linalg.inv(moved))[:, :2]
    return composed


# -- what is seen


def _compared(ones: Squares, others: Squares, maps: Floats) -> tuple[Floats, Floats]:
    """The scores (n,) and the shares (n, 2) with these maps."""
    a = ones.astype(np.float32)
    seen, inside = _warped(others.astype(np.float32), maps)
    mask = uniform_filter(inside.astype(np.float32), (0, 5, 5), mode="constant") > 0.99
    n = np.maximum(mask.sum((1, 2), keepdims=True), 1)
    a, seen = (_details(part) * mask for part in (a, np.where(inside, seen, a)))
    a, seen = ((part - part.sum((1, 2), keepdims=True) / n) * mask for part in (a, seen))
    power = (a * a).sum((1, 2)) * (seen * seen).sum((1, 2))
    share = inside.mean((1, 2), dtype=np.float32)
    zoom = np.abs(np.linalg.det(maps[:, :, :2]))
    return (a * seen).sum((1, 2)) / np.sqrt(np.maximum(power, 1e-6)), np.stack([share, share * zoom], 1)


def _details(squares: Floats) -> Floats:
    """The squares (n, side, side) without what varies slowly: neither brightness nor contrast matters."""
    around = 0, _AROUND, _AROUND
    mean = uniform_filter(squares, around, mode="nearest")
    variance = uniform_filter(squares * squares, around, mode="nearest") - mean * mean
    details: Floats = (squares - mean) / (np.sqrt(np.maximum(variance, 0)) + 4)
    return details


def _warped(squares: Floats, maps: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The squares (n, side, side) seen through the maps, and which of the points are inside."""
    n, side = squares.shape[:2]
    grid = _grid(side)
    points = maps[:, :, 0, None, None] * grid + maps[:, :, 1, None, None] * grid[:, None] + maps[:, :, 2, None, None]
    inside: NDArray[np.bool_] = np.abs(points).max(1) <= 1
    at = np.clip((points + 1) * side / 2 - 0.5, 0, side - 1 - 1e-3)
    corner = at.astype(np.int32)
    x, y = np.moveaxis(at - corner, 1, 0)
    first = corner[:, 1] * side + corner[:, 0] + np.arange(n, dtype=np.int32)[:, None, None] * side * side
    flat = squares.ravel()
    upper = flat[first] * (1 - x) + flat[first + 1] * x
    lower = flat[first + side] * (1 - x) + flat[first + side + 1] * x
    return upper * (1 - y) + lower * y, inside


def _zoomed(squares: Squares, side: int) -> Floats:
    """The squares (n, side, side) at a smaller side, by means."""
    n, full = squares.shape[:2]
    zoomed: Floats = squares.reshape(n, side, full // side, side, full // side).mean((2, 4), dtype=np.float32)
    return zoomed


@cache
def _grid(side: int) -> Floats:
    """The middles of the pixels of an axis from -1 to 1."""
    return ((np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1).astype(np.float32)
