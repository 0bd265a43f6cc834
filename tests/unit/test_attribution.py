"""Credit beside the pictures becomes tags."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from conftest import ROOT

from crossmodal.core.types import Failure, ImageRecord, Skipped
from crossmodal.datasets.folder import read_path
from crossmodal.datasets.registry import read

TOY_DATA = ROOT / "data" / "toy-data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("images/a.png", "images/sub/b.png", "images/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "captions.csv").write_text("image,caption\na.png,one\n")
    return tmp_path


def test_credit_licence_and_source_become_tags(folder: Path) -> None:
    (folder / "ATTRIBUTION.csv").write_text(
        "image,author,page,license,source\n"
        "a.png,Ann,https://a,CC BY 2.0,set 1\n"
        "sub/b.png,,https://b,CC BY-SA 2.0,\n"
        "gone.png,Bob,https://c,CC BY 2.0,\n"
    )
    found = list(read_path(folder))
    tags = {record.path.name: record.tags for record in found if isinstance(record, ImageRecord)}
    assert tags["a.png"] == {
        "filename": "a.png", "credit": "Ann", "licence": "CC BY 2.0", "source": "https://a",
    }  # fmt: skip
    assert tags["b.png"]["credit"] == tags["b.png"]["source"] == "https://b"
    assert tags["c.png"] == {"filename": "c.png"}
    (skipped,) = [record for record in found if isinstance(record, Skipped)]
    assert (skipped.n, skipped.example) == (1, "gone.png")


@pytest.mark.parametrize("content", ["a,b\n1,2\n", 'image,author\n"a.png,Ann\n'])
def test_a_damaged_file_costs_the_credit_only(folder: Path, content: str) -> None:
    (folder / "ATTRIBUTION.csv").write_text(content)
    found = list(read_path(folder))
    assert sum(isinstance(record, ImageRecord) for record in found) == 3
    (failure,) = [record for record in found if isinstance(record, Failure)]
    assert "without credit" in failure.reason


def test_every_toy_picture_is_credited_openly_licensed_and_captioned() -> None:
    found = list(read("toy-data"))
    pictures = [record for record in found if isinstance(record, ImageRecord)]
    assert len(pictures) == len(found) == 150
    with (TOY_DATA / "ATTRIBUTION.csv").open(newline="") as file:
        changes = {row["image"]: row["change"] for row in csv.DictReader(file)}
    for picture in pictures:
        assert picture.captions
        assert picture.tags["licence"] in ("CC BY 2.0", "CC BY-SA 2.0")
        assert picture.tags["credit"]
        assert picture.tags["source"].startswith("https://www.flickr.com/")
        assert changes[picture.path.name]
    assert sum(file.stat().st_size for file in TOY_DATA.rglob("*") if file.is_file()) < 8_000_000
