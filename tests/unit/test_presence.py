"""A file is gone only where a look at its place shows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ingest_world import as_somebody

from crossmodal.store.presence import Disk, container_of


@pytest.fixture
def folder(folder_of_all: Path) -> Path:
    made = folder_of_all / "pictures"
    (made / "sub").mkdir(parents=True)
    (made / "sub" / "here.jpg").touch()
    return made


def state(path: Path | str) -> str:
    return Disk().look_at(str(path)).state


def test_what_is_there_is_there_whatever_it_is(folder: Path) -> None:
    (folder / "link.jpg").symlink_to(folder / "nowhere")
    (folder / "folder.jpg").mkdir()
    for name in ("sub/here.jpg", "link.jpg", "folder.jpg"):
        assert state(folder / name) == "there"


def test_a_listed_folder_without_the_name_is_a_proof(folder: Path) -> None:
    assert state(folder / "sub" / "other.jpg") == "gone"
    assert state(folder / "no" / "such" / "folder" / "a.jpg") == "gone"


def test_a_folder_is_listed_once(folder: Path) -> None:
    disk = Disk()
    before = disk.look_at(str(folder / "sub" / "one.jpg"))
    (folder / "sub" / "here.jpg").unlink()
    assert disk.look_at(str(folder / "sub" / "other.jpg")) == before
    assert state(folder / "sub" / "other.jpg") == "unknown"


def test_an_empty_folder_is_none(folder: Path) -> None:
    (folder / "disk").mkdir()
    found = Disk().look_at(str(folder / "disk" / "holiday" / "a.jpg"))
    assert (found.state, "empty" in found.reason, "mounted" in found.reason) == ("unknown", True, True)


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
def test_a_folder_that_can_not_be_read_is_none(folder: Path, mode: int) -> None:
    (folder / "sub").chmod(mode)
    with as_somebody():
        found = [Disk().look_at(str(folder / "sub" / name)).state for name in ("here.jpg", "gone.jpg", "a/b.jpg")]
    (folder / "sub").chmod(0o755)
    assert "gone" not in found


def test_names_that_are_none_prove_nothing(folder: Path) -> None:
    assert state(folder / ("x" * 300)) == "unknown"
    assert state(f"{folder}/a\0b.jpg") == "unknown"
    assert state("a/relative.jpg") == state("") == "unknown"
    (folder / "loop").symlink_to(folder / "loop")
    assert state(folder / "loop" / "a.jpg") == "unknown"


def test_a_file_where_a_folder_was_is_told(folder: Path) -> None:
    (folder / "captions.parquet").touch()
    found = Disk().look_at(str(folder / "captions.parquet" / "images" / "0.png"))
    assert (found.state, found.container) == ("gone", str(folder / "captions.parquet"))
    assert container_of(folder / "captions.parquet" / "images" / "0.png") == folder / "captions.parquet"
    assert container_of(folder / "sub" / "here.jpg") is None
