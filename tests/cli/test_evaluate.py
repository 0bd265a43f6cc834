"""evaluate from the command line: exactly and through the Flow, several models, class folders, the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import TOY, RunApp, first_of_toy_data, run_crossmodal

N_FEW = 20


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return first_of_toy_data(tmp_path_factory.mktemp("few"), N_FEW)


@pytest.fixture(scope="module")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures in two folders and no captions."""
    root = tmp_path_factory.mktemp("classes")
    for number in range(10):
        folder = root / ("even" if number % 2 == 0 else "odd")
        folder.mkdir(exist_ok=True)
        shutil.copy(TOY / "images" / f"test-{number:05d}.jpg", folder)
    return root


def evaluated(run_app: RunApp, *arguments: Any) -> dict[str, Any]:
    """What `--json` prints, which is all there is on standard output."""
    done = run_app("-t", "evaluate", "--weights", "scenes", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return dict(json.loads(line))


def test_several_models_folds_and_a_report(run_app: RunApp, few: Path, tmp_path: Path) -> None:
    report = tmp_path / "made" / "report.html"
    told = evaluated(
        run_app, "-d", few, "--compare", "clip:ViT-S-32-alt/random@fp32", "--folds", "2", "--report", report
    )
    first, second = told["models"]
    assert first["model"] == told["model"] != second["model"]
    assert first["rsum"] == told["rsum"] > second["rsum"]
    assert told["folds_10"]["folds"] == 2
    assert told["folds_10"]["rsum"] >= told["rsum"]
    assert (told["images"], told["captions"], told["left_out"]) == (N_FEW, 5 * N_FEW, {})
    page = report.read_text("utf8")
    assert first["model"] in page
    assert second["model"] in page
    assert "Captions whose picture ranks lowest" in page


def test_a_table_for_people(run_app: RunApp, few: Path) -> None:
    done = run_app("-t", "evaluate", "--weights", "scenes", "-d", few, "-n", "5")
    assert done.returncode == 0, done.stderr
    assert "5 images, 25 captions" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if " t2i " in line or " i2t " in line]
    assert [row[:2] for row in rows if row[0] == "clip"] == [["clip", "scenes"]] * 2
    (of_recall,) = (row for row in rows if row[:2] == ["t2i", "R@10"])
    assert of_recall[2:] == ["1.000", "[1.000,", "1.000]"]


def test_through_the_flow_is_as_exact_as_in_memory(run_app: RunApp, few: Path, tmp_path: Path) -> None:
    """Also where the collection holds more than is asked about: the ranks are those among the set."""
    indexed = run_crossmodal("index", few, "--weights", "scenes", "-w", tmp_path)
    assert indexed.returncode == 0, indexed.stderr
    through = evaluated(run_app, "-d", few, "-w", tmp_path, "--through", "flow", "-n", "8", "--report", tmp_path / "r")
    exact = evaluated(run_app, "-d", few, "-n", "8")
    for name in ("t2i", "i2t", "rsum"):
        assert through[name] == through["exact"][name] == exact[name]
    assert through["not_found"] == {"t2i": 0, "i2t": 0}
    assert through["top_k"] == {"t2i": 50, "i2t": 50}
    assert "through the Flow" in (tmp_path / "r").read_text()

    (tmp_path / "more").mkdir()
    shutil.copytree(few, tmp_path / "more", dirs_exist_ok=True)
    shutil.copy(TOY / "images" / "test-00050.jpg", tmp_path / "more" / "images")
    with (tmp_path / "more" / "captions.txt").open("a") as file:
        file.write("test-00050.jpg,not indexed\n")
    collection = next(path.name for path in tmp_path.iterdir() if (path / "manifest.json").exists())
    done = run_app(
        "-t", "evaluate", "-d", tmp_path / "more", "-w", tmp_path, "--collection", collection, "--through", "flow"
    )
    assert done.returncode == 1
    assert "2 of the 122 pictures and captions" in done.stderr
    assert "test-00050.jpg" in done.stderr


def test_class_folders_exactly_and_through_the_flow(run_app: RunApp, class_folders: Path, tmp_path: Path) -> None:
    arguments = ("--compare", "timm:test_resnet/random@fp32", "--report", tmp_path / "report.html")
    exact = evaluated(run_app, "-d", class_folders, *arguments)
    assert [set(model["classes"]) for model in exact["models"]] == [set(exact["classes"])] * 2
    found = exact["classes"]
    assert (exact["images"], found["queries"], found["alone"]) == (10, 10, 0)
    assert set(found["per_class"]) == {"even", "odd"}
    assert {"P@1", "P@5", "P@10", "search_score"} <= set(found)
    ours, backbone = exact["models"]
    assert set(ours["class_names"]) == {"even", "odd"}
    assert ours["class_name_p10"] == exact["class_name_p10"] == 0.5  # there are ten pictures, five of each
    assert "class_names" not in backbone
    assert "Pictures with the lowest search scores" in (tmp_path / "report.html").read_text()
    indexed = run_crossmodal("index", class_folders, "--weights", "scenes", "-w", tmp_path)
    assert indexed.returncode == 0, indexed.stderr
    through = evaluated(run_app, "-d", class_folders, "-w", tmp_path, "--through", "flow")
    assert through["classes"] == through["exact"]["classes"] == found


def test_nothing_to_evaluate_says_what_to_do(run_app: RunApp, few: Path, class_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    shutil.copy(TOY / "images" / "test-00000.jpg", tmp_path / "images")
    (tmp_path / "captions.txt").write_text("image,caption\ntest-00000.jpg,a\n")
    (tmp_path / "splits.csv").write_text("image,split\ntest-00000.jpg,train\ngone.jpg,test\n")
    for arguments, told in [
        (("-d", tmp_path, "--split", "test"), "no pictures in its split 'test'"),
        (("-d", tmp_path, "--split", "holiday"), "no split 'holiday'"),
        (("-d", class_folders / "odd"), "one folder (odd)"),
        (("-d", class_folders, "--folds", "2"), "no captions"),
        (("-d", few, "--folds", "3"), "-n 18"),
        (("-d", few, "--compare", "clap:x"), "unknown model 'clap'"),
        (("-d", few, "--compare", "timm:test_resnet/random"), "timm encodes images only"),
        (("-d", few, "--through", "flow", "--compare", "clip:scenes"), "a collection has one model"),
        (("-d", few, "--through", "flow", "--folds", "2"), "--folds"),
        (("-d", few, "--through", "flow", "-w", tmp_path), "python app.py -t index"),
    ]:
        done = run_app("-t", "evaluate", "--weights", "scenes", "--json", *arguments)
        assert done.returncode == 1, arguments
        assert told in done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
