"""ICC profiles built from gamma, chromaticities or code points, for formats that have these instead of a profile."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]  # (n,) linear light in [0, 1] at evenly spaced samples

_D65 = (0.3127, 0.3290)
_CHROMATICITIES = {
    1: (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    5: (*_D65, 0.640, 0.330, 0.290, 0.600, 0.150, 0.060),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
"""CIE x, y of white, red, green and blue, by code point (ITU-T H.273)."""

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])

_PQ, _HLG = 16, 18
_SDR_WHITE_NITS, _PEAK_NITS = 203.0, 1000.0
_SAMPLES = np.linspace(0, 1, 1024)


def from_gamma(gamma: float, chromaticity: Sequence[float], is_grey: bool) -> bytes:
    """The profile that PNG's gAMA and cHRM chunks describe; empty if they describe sRGB or are not usable.

    Browsers apply both chunks. Encoders write gAMA 1/2.2 for sRGB, so a gamma within 5 % of it counts as sRGB's.

    Args:
        gamma: Encoding exponent; 1 for linear light.
        chromaticity: CIE x, y of white, red, green and blue; empty for sRGB's.
        is_grey: Whether the picture has one channel.
    """
    srgb = _CHROMATICITIES[1]
    primaries = tuple(chromaticity) or srgb
    is_srgb_gamma = abs(gamma * 2.2 - 1) <= 0.05
    is_srgb = is_grey or all(abs(a - b) <= 0.005 for a, b in zip(primaries, srgb, strict=True))
    if not 0.1 <= gamma <= 5 or (is_srgb_gamma and is_srgb):
        return b""
    return _profile(primaries, _SAMPLES ** (1 / gamma), is_grey)


def from_code_points(primaries: int, transfer: int) -> bytes:
    """The profile for the code points of cICP and nclx (ITU-T H.273); empty for sRGB and unknown code points.

    Television's transfer functions (1, 6, 14, 15) are treated as sRGB's, as in browsers. High-dynamic-range pictures
    (PQ and HLG) are tone-mapped with their reference white a little below white.
    """
    curve = _transfer_curve(transfer)
    if primaries in (0, 1, 2) and curve is None:
        return b""
    chromaticity = _CHROMATICITIES.get(primaries, _CHROMATICITIES[1])
    return _profile(chromaticity, _srgb_to_linear(_SAMPLES) if curve is None else curve, is_grey=False)


def _transfer_curve(transfer: int) -> Curve | None:
    """Linear light, 1 is white, of the samples under a transfer function; None for sRGB's."""
    if transfer in (4, 5):
        return _SAMPLES ** (2.2 if transfer == 4 else 2.8)
    if transfer == 8:
        return _SAMPLES
    if transfer == _PQ:  # SMPTE ST 2084
        root = _SAMPLES ** (1 / 78.84375)
        light = 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        return _tone_mapped(light / _SDR_WHITE_NITS)
    if transfer == _HLG:  # ARIB STD-B67, with the display's gamma of 1.2
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(_SAMPLES <= 0.5, _SAMPLES**2 / 3, (np.exp((_SAMPLES - c) / a) + b) / 12)
        return _tone_mapped(scene**1.2 * _PEAK_NITS / _SDR_WHITE_NITS)
    return None


def _tone_mapped(light: Curve) -> Curve:
    """Compresses light above white so that the peak becomes white. Source: Reinhard et al. 2002, eq. 4."""
    peak = _PEAK_NITS / _SDR_WHITE_NITS
    return np.minimum(light * (1 + light / peak**2) / (1 + light), 1)


def _srgb_to_linear(values: Curve) -> Curve:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _profile(chromaticity: Sequence[float], curve: Curve, is_grey: bool) -> bytes:
    """An ICC profile of version 2; empty if the primaries are degenerate."""
    shared = {b"wtpt": _xyz_tag(_D50)}
    trc = b"curv" + bytes(4) + struct.pack(">I", len(curve)) + np.rint(curve * 65535).astype(">u2").tobytes()
    if is_grey:
        return _assembled(b"GRAY", {**shared, b"kTRC": trc})
    try:
        columns = _to_d50(chromaticity)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return b""
    if not np.isfinite(columns).all() or np.abs(columns).max() > 10:
        return b""
    for name, column in zip((b"r", b"g", b"b"), columns.T, strict=True):
        shared |= {name + b"XYZ": _xyz_tag(column), name + b"TRC": trc}
    return _assembled(b"RGB ", shared)


def _to_d50(chromaticity: Sequence[float]) -> NDArray[np.float64]:
    """The (3, 3) matrix from linear RGB to XYZ relative to D50, adapted by the Bradford transform."""
    xyz = [np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in zip(chromaticity[::2], chromaticity[1::2], strict=True)]
    white, primaries = xyz[0], np.stack(xyz[1:], axis=1)
    to_xyz = primaries * np.linalg.solve(primaries, white)
    scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(scale) @ _BRADFORD @ to_xyz)


def _xyz_tag(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(v) * 65536) for v in values))


def _assembled(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 1) + bytes(79), b"cprt": b"text" + bytes(5), **tags}
    at = 128 + 4 + 12 * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += struct.pack(">4sII", name, at + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    header = struct.pack(">I4sI4s4s4s", at + len(bodies), bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + table + bodies
