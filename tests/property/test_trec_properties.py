"""What ir-measures and trec_eval's own order say of the written files, also where candidates score alike."""

from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, P, R, Success

from crossmodal.core.types import ImageRecord
from crossmodal.evaluation import trec
from crossmodal.evaluation.classes import hits_among_best
from crossmodal.evaluation.evaluation_set import EvaluationSet
from crossmodal.evaluation.outcomes import Ranking, of_captions, of_classes
from crossmodal.evaluation.recall import image_to_text_ranks, text_to_image_ranks

OF_CAPTIONS = {"r1": Success @ 1, "r5": Success @ 5, "r10": Success @ 10, "mrr": RR, "map": AP}
OF_CLASSES = {"p1": P @ 1, "p5": P @ 5, "p10": P @ 10, "map": AP}


def measured(run: Path, qrels: Path, measures: dict[str, object]) -> dict[str, float]:
    judged = list(ir_measures.read_trec_qrels(str(qrels)))
    found = ir_measures.calc_aggregate(list(measures.values()), judged, list(ir_measures.read_trec_run(str(run))))
    return {name: found[measure] for name, measure in measures.items()}


def set_of(counts: list[int]) -> EvaluationSet:
    records = [
        ImageRecord(Path(f"/of/{i % 3}/a b%{i}.jpg"), tuple(f"caption {c}" for c in range(n)))
        for i, n in enumerate(counts)
    ]
    return EvaluationSet("x", None, records)


@pytest.mark.parametrize("with_ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_captions_both_ways(seed: int, with_ties: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    n, dim = int(rng.integers(12, 60)), 4
    subject = set_of(rng.integers(1, 6, n).tolist())
    image_of, each = subject.image_of, np.arange(n)
    images = rng.normal(size=(n, dim)).astype(np.float32)
    texts = images[image_of] + rng.normal(size=(len(image_of), dim)).astype(np.float32)
    if with_ties:
        images, texts = images.round(), texts.round()
    rankings = [Ranking("t2i", texts, images, image_of, each), Ranking("i2t", images, texts, each, image_of)]
    ranks = text_to_image_ranks(images, texts, image_of), image_to_text_ranks(images, texts, image_of)
    ours = of_captions(*ranks, rankings)
    runs = trec.write_run(tmp_path / "new" / "a.run", subject, rankings, "a model")
    qrels = trec.write_qrels(tmp_path / "a.qrels", subject, rankings)
    assert [path.name for path in (*runs, *qrels)] == ["a.t2i.run", "a.i2t.run", "a.t2i.qrels", "a.i2t.qrels"]
    for direction, run, judged in zip(("t2i", "i2t"), runs, qrels, strict=True):
        found = measured(run, judged, OF_CAPTIONS)
        assert found == pytest.approx({name: ours[f"{direction}_{name}"].value for name in OF_CAPTIONS}, abs=1e-6)
    assert measured(runs[0], qrels[0], {"r5": R @ 5})["r5"] == pytest.approx(ours["t2i_r5"].value)


@pytest.mark.parametrize("with_ties", [False, True])
def test_class_folders(with_ties: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    class_of = np.concatenate([np.repeat(np.arange(5), 12), [5]])  # the last picture is the only one of its class
    images = (np.eye(6, dtype=np.float32)[class_of] + rng.normal(size=(61, 6))).astype(np.float32)
    images = images.round() if with_ties else images
    ranking = Ranking("i2i", images, images, class_of, class_of)
    ours = of_classes(hits_among_best(images, class_of), ranking)
    subject = set_of([0] * 61)
    (run,) = trec.write_run(tmp_path / "a.run", subject, [ranking], "m")
    (qrels,) = trec.write_qrels(tmp_path / "a.qrels", subject, [ranking])
    assert measured(run, qrels, OF_CLASSES) == pytest.approx({n: ours[f"i2i_{n}"].value for n in OF_CLASSES}, abs=1e-6)


def test_lines_are_of_six_fields_strictly_descending_and_float32(tmp_path: Path) -> None:
    subject = set_of([1] * 30)
    images = np.ones((30, 2), np.float32)
    ranking = Ranking("t2i", images, images, np.arange(30), np.arange(30))
    (run,) = trec.write_run(tmp_path / "a.run", subject, [ranking], "a model")
    lines = [line.split() for line in run.read_text("utf8").splitlines()]
    assert {len(line) for line in lines} == {6}
    assert lines[0][0] == "0/a%20b%250.jpg#0"
    assert {line[5] for line in lines} == {"a%20model"}
    for query in range(30):
        of_query = lines[30 * query : 30 * query + 30]
        scores = np.array([float(line[4]) for line in of_query])
        assert (np.diff(scores) < 0).all()
        assert (scores.astype(np.float32) == scores.astype(np.float32).astype(str).astype(np.float32)).all()
        assert len(set(scores.astype(np.float32))) == 30
        assert of_query[-1][2] + "#0" == of_query[0][0]  # the relevant one is the last of equals
        assert [int(line[3]) for line in of_query] == list(range(1, 31))


def test_a_path_that_occurs_again_is_another_document() -> None:
    record = ImageRecord(Path("/a/b.jpg"), ("x",))
    images, captions = trec.names(EvaluationSet("x", None, [record, record]))
    assert (images, captions) == (["b.jpg", "b.jpg~2"], ["b.jpg#0", "b.jpg~2#0"])
