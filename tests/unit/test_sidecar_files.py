"""Sidecars on the disk: beside the pictures, which are never changed, or in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_sidecars import DARKTABLE

from crossmodal.core.types import Document
from crossmodal.metadata.xmp import read_xmp
from crossmodal.saving.beside import SidecarPlan, SidecarReport, write_sidecars
from crossmodal.saving.chosen import Chosen


@pytest.fixture
def pictures(tmp_path: Path) -> list[Chosen]:
    """Pictures with files, of which two have the same name but for the ending of RAW files."""
    found = []
    for name in ("a.jpg", "b.nef", "b.cr2"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
        tags = {"filename": name, "keywords": "sea", "labels": ["dog"]}
        found.append(Chosen(Document(name, "image", str(path), tags=tags), (f"caption of {name}",)))
    return found


def write(pictures: Sequence[Chosen], folder: Path | None = None, **how: Any) -> SidecarReport:
    before = hashes(pictures)
    report = write_sidecars(pictures, SidecarPlan(folder, **how), lambda: None)
    assert hashes(pictures) == before, "no original is ever written"
    return report


def hashes(pictures: Sequence[Chosen]) -> dict[str, str]:
    paths = [Path(one.document.uri) for one in pictures if one.document.uri]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.exists()}


def words(path: Path) -> tuple[str, ...]:
    return read_xmp(path.read_bytes()).properties.get("dc:subject", ())


def test_beside_the_pictures(pictures: list[Chosen], tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    report = write(pictures, keywords=["mine"], has_captions=True)
    assert sorted(path.name for path in folder.glob("*.xmp")) == ["a.jpg.xmp", "b.cr2.xmp", "b.xmp"]
    assert (report.written, report.refused, len(report.paths)) == (3, [], 3)
    assert words(folder / "a.jpg.xmp") == ("sea", "dog", "mine")
    assert read_xmp((folder / "b.xmp").read_bytes()).properties["dc:description"] == ("caption of b.nef",)
    assert write(pictures).unchanged == 3
    assert write(pictures, keywords=["more"]).written == 3
    assert words(folder / "a.jpg.xmp") == ("sea", "dog", "mine", "more"), "keywords of an earlier run stay"


def test_in_a_folder(pictures: list[Chosen], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write([*pictures, pictures[0]], tmp_path / "out").written == 4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a (2).jpg.xmp", "a.jpg.xmp", "b.cr2.xmp", "b.xmp",
    ]  # fmt: skip
    assert list((tmp_path / "pictures").glob("*.xmp")) == []


def test_a_dry_run_writes_nothing(pictures: list[Chosen], tmp_path: Path) -> None:
    report = write(pictures, is_dry=True)
    assert (report.written, len(report.paths)) == (3, 3)
    assert list(tmp_path.rglob("*.xmp")) == []


def test_a_picture_without_anything_to_say_has_no_sidecar(pictures: list[Chosen], tmp_path: Path) -> None:
    bare = Chosen(Document("a", "image", pictures[0].document.uri))
    assert write([bare]).written == 0
    assert list(tmp_path.rglob("*.xmp")) == []


def test_the_sidecar_of_another_program_is_left_or_merged(pictures: list[Chosen], tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "a.jpg.xmp"
    path.write_bytes(DARKTABLE)
    report = write(pictures[:1])
    assert report.refused == [(str(path), "another program wrote it: add the keywords to it with --merge")]
    assert path.read_bytes() == DARKTABLE
    assert write(pictures[:1], merges=True, is_dry=True).merged == 1
    assert path.read_bytes() == DARKTABLE
    assert write(pictures[:1], merges=True).merged == 1
    assert words(path) == ("beach", "sea", "dog")
    assert b"darktable:history" in path.read_bytes()
    assert write(pictures[:1], merges=True).unchanged == 1
    path.write_bytes(b"no XMP")
    assert "it is not XMP" in write(pictures[:1], merges=True).refused[0][1]
    assert path.read_bytes() == b"no XMP"


def test_what_has_no_place_is_listed(pictures: list[Chosen], tmp_path: Path) -> None:
    tags = {"keywords": "a"}
    gone = Chosen(Document("gone", "image", str(tmp_path / "gone.jpg"), tags=tags))
    stored = Chosen(Document("stored", "image", "", tags=tags))
    object_ = Chosen(Document("object", "image", "s3://bucket/a.jpg", tags=tags))
    report = write([gone, stored, object_, *pictures])
    assert report.written == 3
    assert [path for path, _ in report.refused] == [str(tmp_path / "gone.jpg"), "stored", "object"]
    assert report.to_dict()["refused"][0]["reason"] == "the file is gone"


def test_a_link_is_not_followed(pictures: list[Chosen], tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("x")
    (tmp_path / "pictures" / "a.jpg.xmp").symlink_to(target)
    assert "symbolic link" in write(pictures[:1], merges=True).refused[0][1]
    assert target.read_text() == "x"
