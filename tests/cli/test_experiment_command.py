"""experiment from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import RunApp
from PIL import Image

from crossmodal.experiment.export import PAGE

MODELS = ("--models", "test_resnet/random", "test_vit/random")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of nine pictures, and a file that is no picture."""
    root = tmp_path_factory.mktemp("sets") / "two colours"
    for name, colour in (("red", (200, 40, 40)), ("blue", (30, 40, 220))):
        (root / name).mkdir(parents=True)
        for number in range(9):
            noise = np.random.default_rng(number).integers(-25, 26, (40, 40, 3))
            Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(
                root / name / f"{number}.png"
            )
    (root / "red" / "broken.jpg").write_text("nothing")
    return root


def test_a_table_and_the_same_as_json(run_app: RunApp, classes: Path, tmp_path: Path) -> None:
    arguments = (
        "-t",
        "experiment",
        "-d",
        classes,
        "-w",
        tmp_path,
        *MODELS,
        "--layers",
        "2",
        "--metrics",
        "cosine",
        "minkowski:3",
    )
    first = run_app(*arguments)
    assert first.returncode == 0, first.stderr
    assert "skipped red/broken.jpg: not a picture" in first.stderr
    assert "test_vit/random (untrained)" in first.stdout
    again = run_app(*arguments, "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert [model["name"] for model in told["models"]] == ["test_resnet/random", "test_vit/random"]
    folder = Path(told["folder"])
    assert folder == tmp_path / "experiments" / told["name"]
    assert told["name"].startswith("two-colours-")
    experiment = json.loads((folder / "experiment.json").read_text())
    assert experiment["metrics"] == ["cosine", "minkowski:3"]
    best = max(result["search_score"] for result in experiment["results"] if result["model"] == 1)
    assert told["models"][1]["search_score"] == best
    assert f"{best:.1f}" in first.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--layers", "layer9"), "test_resnet/random has no layer 'layer9': "),
        (("--metrics", "manhattan"), "unknown metric 'manhattan': choose cosine"),
        (("--name", "a/b"), "experiment 'a/b': use up to 100 letters"),
        (("--models", "resnet19"), "unknown backbone 'resnet19'"),
        (("--models", "sparse"), "-m sparse needs a model"),
    ],
)
def test_what_is_wrong_is_said_with_what_there_is(
    arguments: tuple[str, ...], told: str, run_app: RunApp, classes: Path, tmp_path: Path
) -> None:
    models = () if "--models" in arguments else ("--models", "test_resnet/random")
    done = run_app("-t", "experiment", "-d", classes, "-w", tmp_path, *models, *arguments)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_an_export_can_be_served_by_any_web_server(classes: Path, tmp_path: Path, run_app: RunApp) -> None:
    site = tmp_path / "site"
    arguments = ("-d", classes, "-w", tmp_path / "w", *MODELS, "--layers", "1", "--name", "colours", "--export", site)
    done = run_app("-t", "experiment", *arguments)
    assert done.returncode == 0, done.stderr
    assert (site / PAGE).is_file()
    assert (site / "playground" / "data" / "colours" / "experiment.json").is_file()
    assert json.loads((site / "playground" / "data" / "index.json").read_text())["live"] is False
