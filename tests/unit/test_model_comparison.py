"""Models compared: names that tell them apart, pairs, the queries that they disagree on, and what is written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossmodal.core.types import ImageRecord, ModelSpec, Preprocessing
from crossmodal.evaluation import comparison
from crossmodal.evaluation.comparison import Compared, compare, names_of, telling, write
from crossmodal.evaluation.evaluation_set import EvaluationSet
from crossmodal.evaluation.exact import Evaluation
from crossmodal.evaluation.misses import Direction, Ranked
from crossmodal.evaluation.outcomes import Outcome, of_ranks
from crossmodal.evaluation.recall import NOT_FOUND
from crossmodal.evaluation.speed import Cost
from crossmodal.evaluation.tables import tables

SPEC = ModelSpec("clip", "photos", "0" * 64, 256, Preprocessing(224))
N = 10
SUBJECT = EvaluationSet("/some/where/set", "dev", [ImageRecord(Path(f"/{i}.jpg"), ("a", "b")) for i in range(N)])


def model(ranks: list[int], spec: ModelSpec = SPEC, flip: float = 0.5) -> Compared:
    """A model with these ranks of the 20 captions, which ranks every caption of a picture first."""
    t2i, i2t = np.array(ranks), np.ones(N, np.int64)
    outcomes = of_ranks("t2i", t2i, SUBJECT.image_of) | of_ranks("i2t", i2t, np.arange(N))
    ranked = Ranked(Direction(t2i, lambda _: -1), Direction(i2t, lambda _: -1))
    skills = {"flip": Outcome.of([flip] * 7, np.arange(7))}
    return Compared(spec, "fp32", "torch", Evaluation({}, ranked, outcomes, [], skills), Cost(10.0, None, 2.5))


GOOD, BAD = [1] * 20, [1] * 5 + [30] * 15


def test_names_are_short_and_tell_models_apart() -> None:
    local = replace(SPEC, weights="/home/somebody/training/best")
    of_file = replace(SPEC, weights="ViT-B-32//home/somebody/best")
    models = [model(GOOD), replace(model(GOOD), precision="int8"), model(GOOD, local), model(GOOD, of_file)]
    models.append(replace(model(GOOD), collection="pictures"))
    assert names_of(models) == [
        "clip photos fp32", "clip photos int8", "clip best fp32 (3)", "clip best fp32 (4)", "collection pictures",
    ]  # fmt: skip
    assert "somebody" not in json.dumps(compare(SUBJECT, models))


def test_the_second_of_a_pair_is_better_by_a_positive_difference() -> None:
    told = compare(SUBJECT, [model(BAD), model(GOOD, flip=0.75)])
    pairs = {pair["measure"]: pair for pair in told["pairs"]}
    assert set(pairs) == {"t2i_r1", "t2i_r5", "t2i_r10", "t2i_mrr", "i2t_r1", "i2t_r5", "i2t_r10", "i2t_mrr", "flip"}
    assert pairs["t2i_r10"]["difference"] == 0.75
    assert 0.3 < pairs["t2i_r10"]["low"] < 0.75 < pairs["t2i_r10"]["high"] <= 1
    assert pairs["t2i_r10"]["p"] < 0.05
    assert (pairs["i2t_r1"]["difference"], pairs["i2t_r1"]["p"]) == (0, 1)
    assert pairs["flip"]["difference"] == 0.25
    assert told["set"] == {"name": "set", "split": "dev", "n_pictures": N, "n_captions": 2 * N}
    assert (told["models"][0]["pictures_per_s"], told["models"][0]["text_ms"]) == (10, None)


def test_telling_queries_are_of_different_pictures_and_of_both_sides() -> None:
    first = [1, 1, 1, 1, *[5] * 12, 3, 3, 2, NOT_FOUND]
    second = [*[5] * 16, 1, 2, 3, 1]
    found = telling([model(first), model(second)], SUBJECT.image_of, n=4)
    assert [caption for caption, _ in found] == [19, 16, 0, 2]
    assert found[0] == (19, [None, 1])
    assert telling([model(GOOD), model(GOOD)], SUBJECT.image_of) == []


def test_what_is_written_replaces_an_earlier_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EvaluationSet, "content", lambda _, picture: b"content %d" % picture)
    monkeypatch.setattr(EvaluationSet, "thumbnail", lambda _, picture: b"jpeg %d" % picture)
    models = [model(BAD), model(GOOD)]
    told = compare(SUBJECT, models)
    for compared in (models, models[::-1], models[:1]):
        path = write(tmp_path / "made", told, SUBJECT, compared)
        shown = json.loads(path.read_text())["differences"]
        pictures = {path.name: path.read_bytes() for path in (tmp_path / "made" / comparison.PICTURES).iterdir()}
        assert set(pictures) == {entry["picture"] for entry in shown}
        assert bool(shown) == (len(compared) > 1)


def test_tables_have_a_column_a_model_and_a_row_a_difference() -> None:
    told = compare(SUBJECT, [model(BAD), model(GOOD)])
    models = [
        {"model": "m", "label": one["name"], "intervals": one, "cost": {"pictures_per_s": 9.5, "text_ms": None}
         | {"size_mb": 1.5, "dim": 256}}
        for one in told["models"]
    ]  # fmt: skip
    intervals, costs, pairs = tables({"models": models, "pairs": told["pairs"]})
    rows = {row[0]: row[1:] for row in intervals.rows}
    assert rows["t2i R@10"][1] == "1.000 [1.000, 1.000]"
    assert rows["t2i R@10"][0].startswith(".250 [.")
    assert costs.rows[0][1:] == ("9.5", "-", "1.5", "256")
    assert [row[1] for row in pairs.rows] == ["t2i R@10", "i2t R@10"]
    assert pairs.rows[0][2].startswith("+.750 [")
    assert pairs.rows[1][2:] == (".000 [.000, .000]", "1.0000")
