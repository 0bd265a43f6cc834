"""search --save, sidecars and saved, as a user runs them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from conftest import TOY, RunApp

from crossmodal.collection.collection import Collection
from crossmodal.metadata.xmp import read_xmp


@pytest.fixture(scope="module")
def workspace(toy_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the toy workspace with a saved search of each kind."""
    workspace = tmp_path_factory.mktemp("saving") / "workspace"
    shutil.copytree(toy_workspace, workspace)
    with Collection.open(workspace / "toy-data").store(writable=True) as store:
        store.searches.put("hearts", {"request": {"text": "two hearts", "exclude": ["red"], "understand": True}})
        store.searches.put("first ten", {"request": {"where": "filename like 'test-0000%'"}})
        store.searches.put("newer", {"request": {"text": "a", "moods": ["x"]}})
    return workspace


def hashes() -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in TOY.rglob("*") if path.is_file()}


def test_results_are_saved_by_the_ending_of_the_file(run_app: RunApp, workspace: Path, tmp_path: Path) -> None:
    for ending in ("zip", "csv", "pdf"):
        path = tmp_path / f"results.{ending}"
        done = run_app("-t", "query-t2i", "two hearts", "-k", 3, "--save", path, "-w", workspace)
        assert done.returncode == 0, done.stderr
    archive = zipfile.ZipFile(tmp_path / "results.zip")
    for name in archive.namelist():
        assert archive.read(name) == (TOY / "images" / name).read_bytes()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text("utf8"))))
    assert [row["filename"] for row in rows] == archive.namelist()
    assert all(Path(row["path"]).is_file() for row in rows)
    assert (tmp_path / "results.pdf").read_bytes().startswith(b"%PDF")


def test_sidecars_of_what_is_found(run_app: RunApp, workspace: Path, tmp_path: Path) -> None:
    before = hashes()
    own = ("-t", "sidecars", "-w", workspace, "--keyword", "heart")
    done = run_app(*own, "--out", tmp_path / "out", "--search", "two hearts", "-k", 5, "--min-relevance", 0)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "sidecars: 5 written, 0 merged, 0 unchanged, 0 refused\n"
    for path in (tmp_path / "out").iterdir():
        assert read_xmp(path.read_bytes()).properties["dc:subject"] == ("heart",)
    some = ("--where", "filename like 'test-0000%'")
    done = run_app("-t", "sidecars", "-w", workspace, "--out", tmp_path / "none", *some)
    assert done.stdout == "sidecars: 0 written, 0 merged, 0 unchanged, 0 refused; 10 pictures have no keywords\n"
    done = run_app(*own, "--beside", "--dry-run", *some, "--json")
    assert json.loads(done.stdout)["written"] == 10
    assert run_app(*own).returncode == 1
    assert hashes() == before


def test_saved_searches(run_app: RunApp, workspace: Path) -> None:
    own = ("-t", "saved", "-w", workspace)
    assert [one["name"] for one in json.loads(run_app(*own, "--json").stdout)] == ["first ten", "hearts", "newer"]
    assert "exclude: ['red']" in run_app(*own).stdout
    found = json.loads(run_app(*own, "--name", "hearts", "-k", 4, "--json").stdout)
    assert len(found["matches"]) == 4
    listed = json.loads(run_app(*own, "--name", "first ten", "-k", 20, "--json").stdout)
    assert {match["filename"] for match in listed["matches"]} == {f"test-{n:05}.jpg" for n in range(10)}
    refused = run_app(*own, "--name", "newer")
    assert refused.returncode == 1
    assert "moods, which only a service does" in refused.stderr
    assert run_app(*own, "--name", "newer", "--delete").returncode == 0
    unknown = run_app(*own, "--name", "newer")
    assert "no saved search 'newer': there are 'first ten', 'hearts'" in unknown.stderr
