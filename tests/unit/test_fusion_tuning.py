"""Tuning of a fusion: no caption is found by itself, and the best is at least as good as each part."""

from __future__ import annotations

import numpy as np

from crossmodal.evaluation.encoding import EncodedSplit
from crossmodal.evaluation.fusion_tuning import _bm25_matches, caption_positions, tune

WORDS = ("red", "green", "blue")


def test_the_fold_of_a_caption_leaves_it_out() -> None:
    captions = [text for word in WORDS for text in (f"{word} one", f"{word} two")]
    split = EncodedSplit(np.eye(3, dtype=np.float32), None, captions, np.repeat(np.arange(3), 2))
    scores, keys = _bm25_matches(split, caption_positions(split.image_of), 3)
    assert keys[:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert (keys[:, 1:] == -1).all(), "another image has `one` or `two` only in the caption that is left out"
    assert np.isneginf(scores[:, 1:]).all()


def test_the_best_is_at_least_as_good_as_every_part() -> None:
    rng = np.random.default_rng(0)
    parts = {}
    for name in ("dense", "sparse"):
        scores = rng.random((40, 20)).astype(np.float32)
        keys = np.argsort(-scores, axis=1)
        parts[name] = np.take_along_axis(scores, keys, axis=1), keys
    result = tune(parts, np.repeat(np.arange(20), 2), 20)
    best = result["rows"][f"best: {result['best']}"]
    assert result["parts"] == ["dense", "sparse"]
    assert all(best["R@10"] >= result["rows"][name]["R@10"] for name in (*parts, "rrf"))
