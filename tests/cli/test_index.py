"""`-t index` from the command line, on good and on broken folders."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import DRAWN, TOY, RunApp
from PIL import Image

from crossmodal.collection.collection import Collection
from crossmodal.encoders.clip import BUNDLED_FOLDER


def report_of(run_app: RunApp, *arguments: Any) -> tuple[int, dict[str, Any]]:
    done = run_app("-t", "index", "--json", *arguments)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_indexing_again_changes_nothing(run_app: RunApp, toy_workspace: Path) -> None:
    code, report = report_of(run_app, "-w", toy_workspace, *DRAWN)
    assert code == 0
    assert report["images"] == {"indexed": 0, "unchanged": 200, "failed": 0}
    assert report["captions"] == {"indexed": 0, "unchanged": 1000, "failed": 0}


@pytest.fixture
def broken_folder(tmp_path: Path) -> Path:
    """Three good pictures, one of them twice, and one of everything that is wrong with pictures."""
    images = tmp_path / "pictures" / "images"
    images.mkdir(parents=True)
    for name in ("test-00000.jpg", "test-00001.jpg", "test-00002.jpg"):
        shutil.copy(TOY / "images" / name, images)
    shutil.copy(images / "test-00000.jpg", images / "twin.jpg")
    (images / "empty.jpg").touch()
    (images / "cut.jpg").write_bytes((images / "test-00001.jpg").read_bytes()[:1500])
    (images / "words.png").write_text("these are words")
    Image.new("1", (20_000, 20_000)).save(images / "bomb.png")
    os.mkfifo(images / "pipe.jpg")
    (images / "loop.jpg").symlink_to(images / "loop.jpg")
    (images / "around").symlink_to(images)
    captions = [
        "image,caption",
        "test-00000.jpg,a first caption, with a comma",
        "test-00000.jpg,a second caption",
        "test-00001.jpg,",
        "test-00002.jpg," + "a long caption " * 30 + "to its end",
        "cut.jpg,the caption of a broken picture",
        "gone.jpg,a caption without a picture",
    ]
    text = "\n".join(captions).encode() + b"\ntest-00001.jpg,caf\xe9\n"
    (images.parent / "captions.txt").write_bytes(text)
    return images.parent


def test_every_broken_file_is_named_and_nothing_else_is_lost(
    run_app: RunApp, broken_folder: Path, tmp_path: Path
) -> None:
    arguments = ("-d", broken_folder, "-w", tmp_path / "w", "--weights", "scenes")
    code, report = report_of(run_app, *arguments, "--report", tmp_path / "report.json")
    assert code == 0
    assert report["images"] == {"indexed": 3, "unchanged": 1, "failed": 6}
    assert report["captions"] == {"indexed": 3, "unchanged": 0, "failed": 4}
    named = {Path(failure["path"]).name: failure["reason"] for failure in report["failures"]}
    assert "empty" in named["empty.jpg"]
    assert "not a picture" in named["words.png"]
    assert "more pixels than the limit" in named["bomb.png"]
    assert "not a regular file" in named["pipe.jpg"]
    assert "can't be read" in named["loop.jpg"]
    assert "no such picture" in named["gone.jpg"]
    assert "empty" in named["captions.txt:4"]
    assert "UTF-8" in named["captions.txt:8"]
    assert {"cut.jpg"} <= set(named)
    assert [Path(note["path"]).name for note in report["notes"]] == ["twin.jpg", "test-00002.jpg"]
    assert report["notes"][1]["reason"].endswith("to its end'")
    assert {**json.loads((tmp_path / "report.json").read_text()), "engine": report["engine"]} == report

    code, again = report_of(run_app, *arguments, "--strict")
    assert code == 1
    assert again["images"] == {"indexed": 0, "unchanged": 4, "failed": 6}


def test_nothing_but_broken_files_is_a_failure(run_app: RunApp, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "only.jpg").write_bytes(b"no picture")
    code, report = report_of(run_app, "-d", folder, "-w", tmp_path / "w", "--weights", "scenes")
    assert code == 1
    assert report["images"]["failed"] == 1


def test_another_model_is_refused_and_both_are_named(run_app: RunApp, toy_workspace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(BUNDLED_FOLDER, other)
    weights = other / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    for task in ("index", "query_restful"):
        done = run_app("-t", task, "-w", toy_workspace, "--weights", other)
        assert done.returncode == 1
        assert str(other) in done.stderr
        assert "clip scenes" in done.stderr
        assert "--collection" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-d", "nowhere/at/all"), "nowhere/at/all"),
        (("-d", "f8k"), "get_data.sh f8k"),
        (("-m", "clap"), "unknown model 'clap'"),
        (("--weights", "ViT-B-23/random"), "ViT-B-32"),
        (("-d", "scenes", "--split", "holiday"), "no split 'holiday'"),
        (("--collection", "../up"), "collection '../up'"),
    ],
)
def test_bad_arguments_are_named(run_app: RunApp, tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    done = run_app("-t", "index", "-w", tmp_path, *arguments)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("-k", "0"), ("-k", "-1"), ("-k", "many"), ("-t", "dance"), ("-n", "0")])
def test_wrong_flags_are_usage_errors(run_app: RunApp, arguments: tuple[str, ...]) -> None:
    done = run_app(*arguments)
    assert done.returncode == 2
    assert "Usage" in done.stderr


def test_num_docs_and_folders_without_captions(run_app: RunApp, tmp_path: Path) -> None:
    for folder in ("cats", "dogs"):
        (tmp_path / "classes" / folder).mkdir(parents=True)
    for number in range(6):
        name = f"test-0000{number}.jpg"
        shutil.copy(TOY / "images" / name, tmp_path / "classes" / ("cats" if number < 3 else "dogs") / name)
    arguments = ("-d", tmp_path / "classes", "-w", tmp_path / "w", "--weights", "scenes", "--collection", "mine")
    code, report = report_of(run_app, *arguments, "-n", "4", "-s", "1")
    assert code == 0
    assert report["images"]["indexed"] == 4
    with Collection.open(tmp_path / "w" / "mine").store() as store:
        tags = [document.tags for document in store.by_keys(range(1, 10)).values()]
    assert sorted(tag["folder"] for tag in tags) == ["cats", "cats", "cats", "dogs"]


def test_weights_by_architecture_are_resolved_and_a_flow_still_starts(run_app: RunApp, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copy(TOY / "images" / "test-00000.jpg", folder)
    weights = ("--weights", "ViT-S-32-alt/random", "--engine", "torch")  # no conversion, which takes 20 CPU seconds
    code, report = report_of(run_app, "-d", folder, "-w", tmp_path / "w", *weights)
    assert code == 0
    assert report["images"]["indexed"] == 1
