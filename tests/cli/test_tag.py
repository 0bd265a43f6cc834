"""`crossmodal tag` from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import TOY_DATA, RunApp, run_crossmodal

from crossmodal.collection.collection import Collection
from crossmodal.scenes.world import SHAPES, make_scene


@pytest.fixture
def workspace(toy_workspace: Path, tmp_path: Path) -> Path:
    shutil.copytree(toy_workspace, tmp_path / "workspace")
    return tmp_path / "workspace"


def shapes_of(workspace: Path) -> dict[str, set[str]]:
    """The labels of each picture by its file name."""
    with Collection.open(workspace / "toy-data").store() as store:
        pictures = store.by_keys(store.keys("image").tolist()).values()
        return {one.tags["filename"]: set(one.tags.get("labels", ())) for one in pictures}


def test_shapes_are_labelled_and_stay_after_index_and_reindex(run_app: RunApp, workspace: Path, tmp_path: Path) -> None:
    labels = tmp_path / "shapes.txt"
    labels.write_text("\n".join(SHAPES), "utf8")
    tagging = ("-t", "tag", "-w", workspace, "--labels", labels)
    dry = run_app(*tagging, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert dry.stdout.startswith("dry run: nothing is written\n")
    assert not any(shapes_of(workspace).values())

    done = run_app(*tagging, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["pictures"], [one["label"] for one in report["labels"]]) == (200, list(SHAPES))
    found = shapes_of(workspace)
    true = {name: {thing.shape for thing in make_scene("test", int(name[5:10])).things} for name in found}
    n_right = sum(len(found[name] & true[name]) for name in found)
    assert n_right >= 0.9 * sum(map(len, found.values()))
    assert n_right >= 0.9 * sum(map(len, true.values()))

    query = run_app(
        "-t", "query-t2i", "-w", workspace, "--json", "--where", "tags.labels = 'heart'", "-k", "50", "a star"
    )
    names = {hit["filename"] for hit in json.loads(query.stdout)["matches"]}
    assert names == {name for name, shapes in found.items() if "heart" in shapes}

    assert run_crossmodal("index", *TOY_DATA, "-w", workspace).returncode == 0
    assert shapes_of(workspace) == found
    again = run_app("-t", "reindex", "-w", workspace, "-m", "clip", "--weights", "scenes")
    assert again.returncode == 0, again.stderr
    assert shapes_of(workspace) == found

    cleared = run_app("-t", "tag", "-w", workspace, "--clear")
    assert cleared.stdout == "cleared: 200 pictures\n"
    assert not any(shapes_of(workspace).values())


def test_what_is_refused(run_app: RunApp, toy_workspace: Path, tmp_path: Path) -> None:
    for options in ((), ("--clear", "--dry-run")):
        done = run_app("-t", "tag", "-w", toy_workspace, *options)
        assert done.returncode == 1
        assert "give either --labels FILE" in done.stderr
    missing = run_app("-t", "tag", "-w", toy_workspace, "--labels", tmp_path / "missing.txt")
    assert missing.returncode == 1
    assert "can't be read" in missing.stderr
