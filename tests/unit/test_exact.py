"""Exact evaluation: folds, and the worst misses; the rest is tested from the command line."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crossmodal.core.types import ImageRecord
from crossmodal.evaluation import exact
from crossmodal.evaluation.evaluation_set import EvaluationSet
from crossmodal.evaluation.misses import Ranked, worst_misses


def evaluated(monkeypatch: pytest.MonkeyPatch, n_images: int, n_folds: int = 0) -> tuple[dict[str, Any], Any]:
    """Of pictures that are only vectors, the five captions of each near it."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(n_images, 16)).astype(np.float32)
    texts = np.repeat(images, 5, axis=0) + rng.normal(size=(5 * n_images, 16)).astype(np.float32)
    monkeypatch.setattr(exact, "encode_images", lambda *_: images)
    monkeypatch.setattr(exact, "encode_texts", lambda *_: texts)
    records = [ImageRecord(Path(f"/nowhere/at/{i}.jpg"), tuple("abcde")) for i in range(n_images)]
    evaluation = exact.evaluate_encoder(SimpleNamespace(), EvaluationSet("x", None, records), n_folds, print)
    return evaluation.figures, evaluation.ranked


def test_five_thousand_pictures_are_also_ranked_in_five_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    figures, _ = evaluated(monkeypatch, 5000)
    assert figures["folds_1k"]["folds"] == 5
    assert figures["folds_1k"]["rsum"] > figures["rsum"]
    assert set(figures["folds_1k"]["t2i"]) == set(figures["t2i"])


def test_other_numbers_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [name for name in evaluated(monkeypatch, 100)[0] if name.startswith("folds")]
    assert evaluated(monkeypatch, 100, 2)[0]["folds_50"]["folds"] == 2


def test_the_worst_misses_are_the_worst_and_never_their_own_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    _, ranked = evaluated(monkeypatch, 30)
    assert isinstance(ranked, Ranked)
    monkeypatch.setattr(EvaluationSet, "thumbnail", lambda self, picture: b"jpeg %d" % picture)
    records = [ImageRecord(Path(f"{i}.jpg"), tuple(f"{i} {c}" for c in "abcde")) for i in range(30)]
    of_captions, of_pictures = worst_misses(EvaluationSet("x", None, records), ranked, 4)
    worst = sorted(ranked.t2i.ranks.tolist(), reverse=True)[:4]
    assert [miss.rank for miss in of_captions.misses] == [f"rank {rank} of 30" for rank in worst]
    for miss in of_captions.misses:
        assert miss.own[0].jpeg.split()[1].decode() == miss.query.text.split()[0]
        assert miss.instead[0].jpeg != miss.own[0].jpeg
    for miss in of_pictures.misses:
        assert len(miss.own) == 5
        assert miss.instead[0].text not in {own.text for own in miss.own}
