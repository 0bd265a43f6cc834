"""The command `encode`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import TOY, RunApp

HEAD, SECOND = "127.0.0.2", "127.0.0.3"
BROKEN = ("test-00010-broken.jpg", "test-00150-broken.jpg")
OPTIONS = ("--weights", "scenes", "--part-size", "15")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred pictures without captions, and two broken ones."""
    root = tmp_path_factory.mktemp("pictures")
    for picture in (TOY / "images").iterdir():
        shutil.copy2(picture, root)
    for name in BROKEN:
        (root / name).write_bytes(b"no picture")
    return root


def encode(run_app: RunApp, *arguments: str | Path) -> dict[str, Any]:
    done = run_app("-t", "encode", *OPTIONS, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def parts(folder: Path, run_app: RunApp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parts of the folder, encoded in one process."""
    out = tmp_path_factory.mktemp("parts")
    answer = encode(run_app, "-d", folder, "--out", out)
    assert answer["images"] == {"encoded": 200, "unchanged": 0, "failed": 2}
    assert sorted(Path(failure["path"]).name for failure in answer["failures"]) == list(BROKEN)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_parts_are_imported(parts: Path, run_app: RunApp, tmp_path: Path) -> None:
    done = run_app("-t", "import", parts, "-w", tmp_path, "--collection", "c", "--json")
    assert json.loads(done.stdout)["indexed"] == 200
    again = run_app("-t", "import", parts, "-w", tmp_path, "--collection", "c", "--json")
    assert json.loads(again.stdout)["unchanged"] == 200
    done = run_app("-t", "query-t2i", "a red star", "-w", tmp_path, "--collection", "c")
    assert done.returncode == 0, done.stderr


def test_parts_of_another_model_are_not_mixed(
    parts: Path, folder: Path, toy_workspace: Path, run_app: RunApp, tmp_path: Path
) -> None:
    done = run_app("-t", "encode", "-d", folder, "--out", parts, "-m", "clip", "--weights", "photos")
    assert done.returncode == 1
    assert "has parts of clip scenes" in done.stderr
    assert "or another folder with --out" in done.stderr
    out = tmp_path / "photos"
    assert run_app("-t", "encode", "-d", folder, "-n", "2", "--out", out, "--weights", "photos").returncode == 0
    done = run_app("-t", "import", out, "-w", toy_workspace, "--collection", "toy-data")
    assert done.returncode == 1
    assert "was indexed with clip scenes" in done.stderr


def test_a_run_goes_on_with_the_model_of_its_parts(parts: Path, folder: Path, run_app: RunApp) -> None:
    done = run_app("-t", "encode", "-d", folder, "--out", parts, "--part-size", "15", "--json")
    answer = json.loads(done.stdout)
    assert answer["images"] == {"encoded": 0, "unchanged": 200, "failed": 2}
    assert answer["parts"] == {"encoded": 0, "unchanged": len(contents(parts))}
    assert answer["model"].startswith("clip scenes")


def test_what_encode_refuses(folder: Path, run_app: RunApp, tmp_path: Path) -> None:
    for arguments, message in (
        ((), "takes --out PARTS"),
        (("--out", folder / BROKEN[0]), "a file of this name exists already"),
        (("--out", tmp_path / "x", "--split", "test"), "has no split"),
    ):
        done = run_app("-t", "encode", "-d", folder, *arguments)
        assert done.returncode == 1, arguments
        assert message in done.stderr
