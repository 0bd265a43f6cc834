"""Files that users leave out: gitignore rules, their sources, their counts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ingest_world import as_somebody
from test_folder import skipped, touch

from crossmodal.core.errors import InputError
from crossmodal.core.types import Failure, ImageRecord, Record
from crossmodal.datasets.folder import read_path

PLACES = (
    "a.png", "keep.png", "b.jpg", "raw/a.png", "raw/keep.png", "raw/deep/a.png", "raw/deep/b.jpg", "out/a.png",
    "out/deep/b.jpg", "x/out/c.png", "with space.png", "#1.png",
)  # fmt: skip
RULES = {
    "": "# a comment\n\n*.png\n!keep.png\n/out/\n\\#1.png\n",
    "raw": "!a.png\nkeep.png\n",
    "raw/deep": "a.png\n",
}


def pictures(records: object, root: Path) -> list[str]:
    return [r.path.relative_to(root).as_posix() for r in records if isinstance(r, ImageRecord)]  # type: ignore[attr-defined]


def write(folder: Path, rules: dict[str, str]) -> None:
    for place, text in rules.items():
        (folder / place / ".crossmodalignore").write_text(text, "utf8")


def test_files_of_rules_mean_what_they_mean_to_git(tmp_path: Path) -> None:
    touch(tmp_path, *PLACES)
    write(tmp_path, RULES)
    found = pictures(read_path(tmp_path), tmp_path)
    assert set(found) == {"keep.png", "b.jpg", "raw/a.png", "raw/deep/b.jpg"}
    if (git := shutil.which("git")) is None:
        return
    for place in RULES:
        (tmp_path / place / ".crossmodalignore").rename(tmp_path / place / ".gitignore")
    subprocess.run([git, "init", "-q"], cwd=tmp_path, check=True)
    listed = subprocess.run(
        [git, "ls-files", "-o", "--exclude-standard"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert set(listed.stdout.splitlines()) - {f"{place}/.gitignore".lstrip("/") for place in RULES} == set(found)


def test_patterns_of_the_command_line_precede_the_files(tmp_path: Path) -> None:
    touch(tmp_path, *PLACES)
    write(tmp_path, {"": "b.jpg\n"})
    found = pictures(read_path(tmp_path, exclude=("!raw/**/b.jpg", "*.png", "!x/**/c.png")), tmp_path)
    assert found == ["raw/deep/b.jpg", "x/out/c.png"]


def test_what_is_left_out_is_counted_by_its_source(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "c.png", "out/1.png", "out/2.png", ".hidden/a.png", "@eaDir/a.png", "._a.png")
    write(tmp_path, {"": "b.png\nout\n"})
    records: list[Record] = list(read_path(tmp_path, exclude=("c.png",)))
    assert {r.reason: r.n for r in records if not isinstance(r, ImageRecord | Failure)} == {
        "files left out by .crossmodalignore": 1,
        "folders left out by .crossmodalignore": 1,
        "files left out by --exclude": 1,
        "hidden folders": 1,
        "system folders named @eaDir": 1,
        "system files named ._*": 1,
    }
    assert skipped(tmp_path)["hidden folders"] == 1


def test_rules_of_a_folder_with_images_apply_below_it(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "images/out/b.png")
    (tmp_path / "captions.txt").write_text("image,caption\na.png,one\n")
    write(tmp_path, {"": "/images/out\n"})
    assert pictures(read_path(tmp_path), tmp_path) == ["images/a.png"]


@pytest.mark.parametrize("content", [b"caf\xe9\n", b"!\n"])
def test_rules_that_can_not_be_read_leave_the_folder_unsearched(tmp_path: Path, content: bytes) -> None:
    touch(tmp_path, "a.png", "in/b.png", "in/deep/c.png")
    (tmp_path / "in" / ".crossmodalignore").write_bytes(content)
    records = list(read_path(tmp_path))
    assert pictures(records, tmp_path) == ["a.png"]
    [failure] = [r for r in records if isinstance(r, Failure)]
    assert failure.path == str(tmp_path / "in")
    assert ".crossmodalignore" in failure.reason


def test_unreadable_rules_of_the_root_are_an_error(folder_of_all: Path) -> None:
    touch(folder_of_all, "a.png")
    write(folder_of_all, {"": "b.png\n"})
    (folder_of_all / ".crossmodalignore").chmod(0)
    with as_somebody(), pytest.raises(InputError, match="permission denied"):
        list(read_path(folder_of_all))


def test_an_invalid_pattern_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(InputError, match="--exclude"):
        read_path(tmp_path, exclude=("!",))
