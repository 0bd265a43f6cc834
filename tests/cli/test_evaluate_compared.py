"""evaluate from the command line: several models compared, the folder for the page, and TREC files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ir_measures
import pytest
from conftest import TOY, RunApp, first_of_toy_data, run_crossmodal
from ir_measures import AP, RR, Success

N_FEW = 12


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return first_of_toy_data(tmp_path_factory.mktemp("few"), N_FEW)


def test_models_and_precisions_are_compared_for_the_page(run_app: RunApp, few: Path, tmp_path: Path) -> None:
    folder = tmp_path / "experiments" / "toy"
    (folder / "differences").mkdir(parents=True)
    (folder / "differences" / "old.jpg").write_text("of an earlier comparison")
    arguments = ("-t", "evaluate", "-d", few, "-w", tmp_path, "--weights", "scenes", "--precision", "fp32")
    others = ("--compare", "clip:scenes@int8", "--compare", "vse:scenes", "--compare", "clip:scenes@fp16")
    done = run_app(*arguments, *others, "--out", "toy", "--json")
    assert done.returncode == 1, "because one model could not be evaluated"
    assert "clip:scenes@fp16 could not be evaluated: --precision fp16 runs on GPUs" in done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert [model["label"] for model in told["models"]] == ["clip scenes fp32", "clip scenes int8", "vse scenes fp32"]
    assert len({model["model"] for model in told["models"]}) == 3
    assert list(told["failed"]) == ["clip:scenes@fp16"]
    assert told["written"] == [str(folder / "comparison.json")]

    written = json.loads((folder / "comparison.json").read_text())
    assert (written["format"], written["set"]["n_pictures"], written["set"]["n_captions"]) == (1, N_FEW, 5 * N_FEW)
    assert [model["precision"] for model in written["models"]] == ["fp32", "int8", "fp32"]
    for model, figures in zip(written["models"], told["models"], strict=True):
        assert model["measures"]["t2i_r1"]["value"] == pytest.approx(figures["t2i"]["R@1"], abs=1e-4)
        assert model["measures"]["i2t_mrr"]["value"] == pytest.approx(figures["i2t"]["MRR"], abs=1e-4)
        assert all(interval["low"] <= interval["value"] <= interval["high"] for interval in model["measures"].values())
        assert model["pictures_per_s"] > 0
        assert model["text_ms"] > 0
        assert 1 < model["size_mb"] < 100
    assert {(pair["a"], pair["b"]) for pair in written["pairs"]} == {(0, 1), (0, 2), (1, 2)}
    shown = written["differences"]
    assert {path.name for path in (folder / "differences").iterdir()} == {entry["picture"] for entry in shown}
    for entry in shown:
        assert len(entry["ranks"]) == 3
        assert len(set(entry["ranks"])) > 1
        assert (folder / "differences" / entry["picture"]).read_bytes().startswith(b"\xff\xd8")


def test_indexes_of_collections_are_compared_with_exact_scores(run_app: RunApp, few: Path, tmp_path: Path) -> None:
    more = ("-n", "30", "-w", tmp_path, "--weights", "scenes", "--precision", "fp32")
    done = run_crossmodal("index", TOY, *more, "--collection", "whole")
    assert done.returncode == 0, done.stderr
    compared = ("--compare", "collection:whole", "--compare", "collection:none", "--json")
    done = run_app("-t", "evaluate", "-d", few, "-w", tmp_path, "--weights", "scenes", "--precision", "fp32", *compared)
    assert done.returncode == 1
    assert "collection:none could not be evaluated" in done.stderr
    told = json.loads(done.stdout)
    exact, indexed = told["models"]
    assert (exact["label"], indexed["label"]) == ("clip scenes fp32", "collection whole")
    assert [exact[way] for way in ("t2i", "i2t")] == [indexed[way] for way in ("t2i", "i2t")]
    assert {(pair["difference"], pair["p"]) for pair in told["pairs"]} == {(0, 1)}


def test_trec_files_give_the_same_figures(run_app: RunApp, few: Path, tmp_path: Path) -> None:
    run, qrels = tmp_path / "new" / "clip.run", tmp_path / "few.qrels"
    done = run_app(
        "-t", "evaluate", "-d", few, "--weights", "scenes", "--run", run, "--qrels", qrels, "--folds", "2", "--json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    names = {"R@1": Success @ 1, "R@5": Success @ 5, "R@10": Success @ 10, "MRR": RR}
    for direction in ("t2i", "i2t"):
        judged = list(ir_measures.read_trec_qrels(str(tmp_path / f"few.{direction}.qrels")))
        ranked = list(ir_measures.read_trec_run(str(tmp_path / "new" / f"clip.{direction}.run")))
        found = ir_measures.calc_aggregate([*names.values(), AP], judged, ranked)
        assert {name: round(found[measure], 4) for name, measure in names.items()} == {
            name: told[direction][name] for name in names
        }
        assert found[AP] == pytest.approx(told["intervals"]["measures"][f"{direction}_map"]["value"], abs=5e-5)


def test_what_does_not_go_together_is_refused(run_app: RunApp, few: Path, tmp_path: Path) -> None:
    for arguments, told in [
        (("--run", tmp_path / "r", "--compare", "clip:scenes"), "--run and --qrels are for one model"),
        (("--run", tmp_path / "r", "--through", "flow"), "--run needs exact scores"),
        (("--out", "../elsewhere"), "use up to 100 letters"),
        (("-m", "sparse", "--run", tmp_path / "r"), "not supported by `evaluate -m sparse`"),
        (("-m", "sparse", "--precision", "int8"), "--precision: not supported by `evaluate -m sparse`"),
    ]:
        done = run_app("-t", "evaluate", "-d", few, "-w", tmp_path / "w", "--weights", "scenes", *arguments)
        assert done.returncode == 1, arguments
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "w" / "experiments").exists()
