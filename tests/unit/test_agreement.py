"""The agreement of a converted model with the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crossmodal.core.types import Vectors
from crossmodal.engines.agreement import LEAST_COSINE, LEAST_OVERLAP, Agreement, agreement

AT_THE_BARS = Agreement(0.5, LEAST_COSINE, LEAST_OVERLAP, LEAST_OVERLAP)


def on_a_circle(degrees: np.ndarray) -> Vectors:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def test_equal_vectors_agree_fully() -> None:
    images, texts = on_a_circle(np.arange(0, 90, 3.7)), on_a_circle(np.arange(0, 90, 11.3))
    for found in (agreement((images, images), (texts, texts)), agreement((images, images), None)):
        assert (found.overlap, found.mixed_overlap) == (1, 1)
        assert (found.cosine_min, found.cosine_mean) == pytest.approx((1, 1))
        assert found.is_close
        assert found.mixes


def test_the_ten_nearest_are_compared() -> None:
    # Eleven pictures at 0 to 10 degrees; converted, the last comes nearer to the query than the one before it.
    reference = on_a_circle(np.arange(11.0))
    converted = on_a_circle(np.array([*range(9), 9.5, 8.5]))
    query = on_a_circle(np.zeros(1))
    found = agreement((converted, reference), (query, query))
    assert found.overlap == found.mixed_overlap == pytest.approx(0.9)
    assert found.cosine_min == pytest.approx(np.cos(np.radians(1.5)))
    moved = np.cos(np.radians([0.5, 1.5])).sum()
    assert found.cosine_mean == pytest.approx((moved + 9 + 1) / 12)


def test_a_picture_is_no_match_of_itself() -> None:
    # All pictures are at one angle but the first, so its ten best are the ten others.
    images = on_a_circle(np.array([0.0, *[80.0] * 10]))
    assert agreement((images, images), None).overlap == 1
    turned = on_a_circle(np.arange(0, 180, 15.0))
    found = agreement((turned[::-1].copy(), turned), None)
    assert found.cosine_min == pytest.approx(np.cos(np.radians(165)))
    assert not found.is_close


def test_vectors_that_only_agree_among_themselves_do_not_mix() -> None:
    rng = np.random.default_rng(0)
    images, texts = (rng.standard_normal((n, 16)).astype(np.float32) for n in (60, 30))
    images, texts = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (images, texts))
    turn = np.linalg.qr(rng.standard_normal((16, 16)))[0].astype(np.float32)
    found = agreement((images @ turn, images), (texts @ turn, texts))
    assert found.overlap > 0.99
    assert found.mixed_overlap < 0.5
    assert not replace(found, cosine_mean=1.0).mixes


def test_the_bars() -> None:
    assert AT_THE_BARS.is_close
    assert AT_THE_BARS.mixes
    less = 1e-6
    assert not replace(AT_THE_BARS, cosine_mean=LEAST_COSINE - less).is_close
    assert not replace(AT_THE_BARS, overlap=LEAST_OVERLAP - less).is_close
    assert not replace(AT_THE_BARS, cosine_mean=float("nan")).is_close
    unmixed = replace(AT_THE_BARS, mixed_overlap=LEAST_OVERLAP - less)
    assert unmixed.is_close
    assert not unmixed.mixes
    assert not replace(AT_THE_BARS, overlap=0.5).mixes
    assert "0.9850 on average, 0.5000 at least; 85%" in str(AT_THE_BARS)
