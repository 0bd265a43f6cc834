"""Counts, words and JSON of a report."""

import json
from pathlib import Path

import pytest

from crossmodal.core.report import Report
from crossmodal.core.types import Failure, Skipped


@pytest.fixture
def report() -> Report:
    made = Report()
    for _ in range(3):
        made.count("image", "indexed")
    made.count("image", "unchanged")
    made.count("text", "indexed")
    made.fail(Failure("bad.jpg", "the file is empty"))
    made.fail(Failure("captions.txt:4", "not UTF-8", "text"))
    made.note("huge.png", "scaled down")
    return made


def test_to_dict_has_the_documented_shape(report: Report) -> None:
    assert report.to_dict() == {
        "images": {"indexed": 3, "unchanged": 1, "failed": 1},
        "captions": {"indexed": 1, "unchanged": 0, "failed": 1},
        "updated": {"images": 0, "captions": 0},
        "removed": {"images": 0, "captions": 0},
        "failures": [
            {"path": "bad.jpg", "reason": "the file is empty"},
            {"path": "captions.txt:4", "reason": "not UTF-8"},
        ],
        "notes": [{"path": "huge.png", "reason": "scaled down"}],
        "skipped": [],
    }


def test_what_is_gone_and_stays_is_told_with_the_way_to_remove_it(report: Report) -> None:
    report.gone = {"image": 2}
    assert "no longer in the data set: 2 images; --prune removes them from the collection" in report.lines()
    assert report.to_dict()["gone"] == {"images": 2, "captions": 0}


def test_an_empty_report_has_the_same_keys() -> None:
    assert Report().to_dict() == {
        "images": {"indexed": 0, "unchanged": 0, "failed": 0},
        "captions": {"indexed": 0, "unchanged": 0, "failed": 0},
        "updated": {"images": 0, "captions": 0},
        "removed": {"images": 0, "captions": 0},
        "failures": [],
        "notes": [],
        "skipped": [],
    }


def test_write_makes_the_folder_and_keeps_letters_readable(report: Report, tmp_path: Path) -> None:
    report.note("größe.png", "gedreht")
    path = tmp_path / "new" / "report.json"
    report.write(path)
    assert json.loads(path.read_text("utf8")) == report.to_dict()
    assert "größe.png" in path.read_text("utf8")


def test_write_takes_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    report = Report()
    report.fail(Failure("caf\udce9.jpg", "the file is empty"))
    report.write(tmp_path / "report.json")
    assert len(json.loads((tmp_path / "report.json").read_bytes())["failures"]) == 1


def test_lines_say_counts_failures_and_notes(report: Report) -> None:
    assert report.lines() == [
        "images: 3 indexed, 1 unchanged, 1 failed",
        "captions: 1 indexed, 0 unchanged, 1 failed",
        "  failed: bad.jpg: the file is empty",
        "  failed: captions.txt:4: not UTF-8",
        "  note: huge.png: scaled down",
    ]


def test_lines_shorten_long_lists_and_say_so() -> None:
    report = Report()
    for i in range(23):
        report.fail(Failure(f"{i}.jpg", "broken"))
    lines = report.lines(at_most=20)
    assert len(lines) == 2 + 20 + 1
    assert "3 more" in lines[-1]
    assert len(report.lines(at_most=23)) == 2 + 23


@pytest.mark.parametrize(("outcome", "expected"), [("indexed", True), ("unchanged", True)])
def test_something_is_indexed(outcome: str, expected: bool) -> None:
    report = Report()
    report.count("text", outcome)
    assert report.anything_indexed is expected


def test_nothing_is_indexed_where_all_failed() -> None:
    report = Report()
    report.fail(Failure("a.jpg", "broken"))
    assert not report.anything_indexed


@pytest.mark.parametrize("change", ["updated", "removed"])
def test_what_was_updated_or_removed_is_told(report: Report, change: str) -> None:
    assert not any(line.startswith(change) for line in report.lines())
    report.count("image", change)
    assert report.to_dict()[change] == {"images": 1, "captions": 0}
    assert f"{change}: 1 images" in report.lines()


def test_what_was_passed_over_is_told_by_reason(report: Report) -> None:
    report.skipped += [Skipped("files ending in .mov", 3, "clip.mov"), Skipped("system folders", 1, "@eaDir")]
    assert "skipped: 3 files ending in .mov, such as clip.mov; 1 system folders, such as @eaDir" in report.lines()
    assert report.to_dict()["skipped"][0] == {"reason": "files ending in .mov", "n": 3, "example": "clip.mov"}
