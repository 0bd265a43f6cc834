"""`crossmodal duplicates` on collections of each kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pictures_with_copies import DIM, entry, recompressed, scene, unit

from cli.main import main
from crossmodal.collection.collection import Collection
from crossmodal.collection.linked_workspace import link_workspace
from crossmodal.collection.shared_state import HASHES
from crossmodal.core.errors import StateError
from crossmodal.core.types import ModelSpec, Preprocessing, image_id
from crossmodal.store.source_files import SourceFile

SPEC = ModelSpec("clip", "none", "0" * 64, DIM, Preprocessing(32))


@pytest.fixture(params=["sqlite", "postgresql"])
def collection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Collection]:
    """Three pictures, of which one has a copy in another split and one has two files."""
    if request.param == "postgresql":
        link_workspace(tmp_path, request.getfixturevalue("postgresql").url)
    made = Collection.create(tmp_path / f"d{abs(hash(tmp_path)):x}", SPEC)
    with made.store(writable=True) as store:
        for seed in range(3):
            store.put([entry(f"{seed}.jpg", scene(seed), unit(seed), [("split", "train")])])
        store.put([entry("0 (1).jpg", recompressed(scene(0), 30), unit(9), [("split", "test")])])
        files = [SourceFile(f"/p/{name}.jpg", 7, 10**9, image_id(b"2.jpg")) for name in ("2", "2 (1)")]
        store.files.put("/p", files)
    return made


def run(collection: Collection, *arguments: str) -> Result:
    chosen = ["-w", str(collection.root.parent), "--collection", collection.root.name]
    return CliRunner().invoke(main, ["duplicates", *chosen, *arguments])


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_groups_as_json_and_as_text(collection: Collection) -> None:
    answer = told(run(collection, "--json"))
    assert answer["levels"] == {"1": {"groups": 1, "extra": 1}, "2": {"groups": 1, "extra": 1}}
    assert [[m["filename"] for m in group["members"]] for group in answer["groups"]] == [
        ["2.jpg", "2 (1).jpg"], ["0.jpg", "0 (1).jpg"],
    ]  # fmt: skip
    assert set(answer["groups"][0]["members"][0]) == {
        "id", "keep", "paths", "filename", "width", "height", "bytes", "modified", "taken", "mime_type", "split",
        "differences",
    }  # fmt: skip
    text = run(collection, "--level", "1").stdout
    assert "level 1, the same bytes: 1 groups, 1 more than needed" in text
    assert "  keep  /p/2.jpg  320 x 240  (its name is not that of a copy)" in text
    assert "level 2" not in text
    assert told(run(collection, "--json", "--where", "filename = '0.jpg'"))["pictures"] == 1


def test_hashes_are_kept_and_followed(collection: Collection) -> None:
    run(collection)
    first = (collection.folder / HASHES).read_bytes()
    run(collection)
    assert (collection.folder / HASHES).read_bytes() == first
    with collection.store(writable=True) as store:
        store.put([entry("1 (1).jpg", recompressed(scene(1), 40), unit(12))])
    assert told(run(collection, "--json"))["levels"]["2"]["groups"] == 2
    assert (collection.folder / HASHES).read_bytes() != first


def test_without_the_right_to_write_it_works_and_says_so(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StateError("read-only")

    monkeypatch.setattr(Collection, "write", refuse)
    result = run(collection)
    assert result.exit_code == 0
    assert "the hashes are not kept" in result.stderr
    assert "1 groups" in result.stdout


def test_a_leak_ends_with_1(collection: Collection) -> None:
    result = run(collection, "--leak", "train:test")
    assert result.exit_code == 1
    assert result.stdout.startswith("1 pictures of train have a duplicate in test\n")
    assert "test: 0 (1).jpg" in result.stdout or "test: /pictures/0 (1).jpg" in result.stdout
    answer = json.loads(run(collection, "--leak", "test:train", "--json").stdout)
    assert (answer["splits"], answer["pictures"], answer["leaks"][0]["level"]) == (["test", "train"], 1, 2)
    fine = run(collection, "--leak", "train:val")
    assert fine.exit_code == 0
    assert fine.stdout.splitlines() == [
        "no picture of train has a duplicate in val, among 4 pictures",
        "not known: the splits of the files of 1 pictures that have several; see level 1",
    ]
    assert answer["not_known"] == 1


@pytest.mark.parametrize("leak", ["train", "train:", "train:train", ":"])
def test_a_leak_needs_two_splits(collection: Collection, leak: str) -> None:
    result = run(collection, "--leak", leak)
    assert result.exit_code == 1
    assert "give two splits" in result.stderr
