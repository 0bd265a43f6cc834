"""What an option names to be written is looked at before the work begins, and is left as it is until the end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import RunApp
from others import UID, as_another_user

from cli.outputs import OUTPUTS, check_outputs
from crossmodal.core.errors import InputError

EVERY = [(option, task, makes_folders) for option, tasks, makes_folders in OUTPUTS for task in tasks]


@pytest.fixture
def places(tmp_path: Path) -> SimpleNamespace:
    (tmp_path / "file").write_text("old")
    (tmp_path / "closed").mkdir(mode=0o755)
    (tmp_path / "closed" / "old.png").write_text("old")
    return SimpleNamespace(root=tmp_path, file=tmp_path / "file", closed=tmp_path / "closed")


@pytest.mark.parametrize(("option", "task", "makes_folders"), EVERY)
def test_every_output_is_looked_at(
    option: str, task: str, makes_folders: bool, places: SimpleNamespace, tmp_path: Path
) -> None:
    def refused(path: Path, told: str) -> None:
        with pytest.raises(InputError, match=told) as found:
            check_outputs(task, {option: path})
        assert str(found.value).startswith(f"{path} can't be written: ")

    check_outputs(task, {option: tmp_path / "new.png"})
    check_outputs(task, {option: None})
    refused(places.file / "new.png", "not a folder")
    refused(tmp_path / ("x" * 300 + ".png"), "too long")
    if makes_folders:
        check_outputs(task, {option: tmp_path / "a" / "b" / "new.png"})
    else:
        refused(tmp_path / "a" / "new.png", "there is no folder")

    def ask() -> None:
        refused(places.closed / "new.png", f"denied for uid {UID}")
        refused(places.closed / "old.png", f"denied for uid {UID}")

    as_another_user(ask, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["closed", "file", "old.png"]


@pytest.mark.parametrize("name", ["sheet", "sheet.", "sheet.xyz", "sheet.py", "sheet.xmp"])
def test_a_sheet_needs_an_ending_that_pillow_writes(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ending: choose"):
        check_outputs("search", {"save": tmp_path / name})


@pytest.mark.parametrize(
    "arguments",
    [
        ("query-t2i", "a red ring", "--save"),
        ("index", "--report"),
        ("evaluate", "-d", "toy-data", "--report"),
        ("export", "--out"),
        ("train", "--out"),
        ("data", "--out"),
        ("keys", "read", "--keys"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_nothing_is_done_where_the_output_cannot_be_written(
    run_app: RunApp, toy_workspace: Path, places: SimpleNamespace, arguments: tuple[str, ...]
) -> None:
    place = () if arguments[0] in ("data", "keys") else ("-w", toy_workspace)
    done = run_app(*place, "-t", *arguments, places.file / "x.png")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert f"{places.file / 'x.png'} can't be written" in line


@pytest.mark.parametrize("query", ["", "  "])
@pytest.mark.parametrize("task", ["query-t2i", "query-i2t", "query-i2i"])
def test_an_empty_query_is_an_error(run_app: RunApp, toy_workspace: Path, task: str, query: str) -> None:
    done = run_app("-t", task, "-w", toy_workspace, query)
    assert done.returncode == 1
    assert "the query is empty" in done.stderr


def test_an_error_of_the_system_is_one_line_and_a_bug_is_not(run_app: RunApp, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for workspace, told in ((tmp_path / "file", "not a folder"), (tmp_path / ("x" * 300), "too long")):
        for task in ("index", "collections", "import"):
            done = run_app("-t", task, "-w", workspace, *(["x.parquet"] if task == "import" else []))
            assert "Traceback" not in done.stderr, done.stderr
            if task == "index":
                assert done.returncode == 1
                assert told in done.stderr
                assert done.stderr.count("\n") == 1
