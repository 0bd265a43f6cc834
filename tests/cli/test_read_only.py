"""Programs with nothing to write to: another user's workspace, a read-only file system, no home folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from conftest import APP, ROOT
from others import UID, another_user, read_only

from crossmodal.core.errors import StateError
from serving.jina.folders import temporary_folder
from serving.jina.ports import reserve_port_pair

WRITING = (
    ("index", "-n", "3"),
    ("delete", "--where", "tags.x = 1"),
    ("compact",),
    ("rebuild",),
    ("calibrate",),
    ("reindex",),
)


@pytest.fixture
def homeless(toy_workspace: Path) -> list[str]:
    """What stands before a command of another user without a home; the workspace may be read."""
    for place in (toy_workspace, *toy_workspace.parents[:2]):
        place.chmod(place.stat().st_mode | 0o055)
    return ["env", "-u", "HOME", *another_user()]


def _run(before: Sequence[str], *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, APP, *arguments]
    environ = {**os.environ, **env}
    return subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT, env=environ)


def test_reading_the_workspace_of_another_user(homeless: list[str], toy_workspace: Path, tmp_path: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in toy_workspace.rglob("*"))
    for task in ("collections", "verify"):
        done = _run(homeless, "-t", task, "-w", toy_workspace)
        assert done.returncode == 0, done.stderr
    tmp_path.chmod(0o777)
    done = _run(homeless, "-t", "export", "-w", toy_workspace, "--out", tmp_path / "x.parquet")
    assert done.returncode == 0, done.stderr
    assert sorted((path, path.stat().st_mtime_ns) for path in toy_workspace.rglob("*")) == before


@pytest.mark.parametrize("arguments", WRITING, ids=lambda arguments: arguments[0])
def test_writing_the_workspace_of_another_user(
    homeless: list[str], toy_workspace: Path, arguments: tuple[str, ...]
) -> None:
    done = _run(homeless, "-w", toy_workspace, "-t", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert f"permission denied for uid {UID}" in line
    assert "belongs to" in line
    assert "damaged" not in line


def test_a_container(homeless: list[str], toy_workspace: Path, tmp_path: Path) -> None:
    """A user that nobody knows, no home, everything read-only but a temporary folder."""
    temporary, port = tmp_path / "tmp", reserve_port_pair()
    temporary.mkdir()
    temporary.chmod(0o777)
    places = [Path("/"), *(place for place in (ROOT, toy_workspace) if place.stat().st_dev != Path("/").stat().st_dev)]
    before = read_only(places, [temporary], homeless)
    command = [*before, sys.executable, APP, "-t", "query_restful", "-w", toy_workspace, "--port", port]
    environ = {**os.environ, "TMPDIR": str(temporary)}
    program = subprocess.Popen([*map(str, command)], cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            assert program.poll() is None, program.stderr and program.stderr.read()
            try:
                httpx.get(f"{url}/status", timeout=5).raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.1)
        assert httpx.post(f"{url}/search", json={"text": "a red ring"}, timeout=20).json()["results"]
        assert httpx.get(f"{url}/healthz", timeout=20).status_code == 200
        done = _run(before, "-t", "index", "-w", toy_workspace, TMPDIR=str(temporary))
        assert done.returncode == 1, done.stderr
        assert "mounted read-only" in done.stderr
        assert done.stderr.count("\n") == 1
    finally:
        program.terminate()
        program.communicate(timeout=60)


@pytest.mark.parametrize("home", [None, "."])
def test_nothing_is_written_to_a_home(home: str | None, tmp_path: Path) -> None:
    """Nor beside it: a `~` that stands for nothing would be a folder where the program runs."""
    environ = {name: value for name, value in os.environ.items() if name != "HOME"}
    environ |= {"PYTHONPATH": str(ROOT)} | ({"HOME": str(tmp_path)} if home else {})
    script = (
        "import os; from serving.jina.supervisor import prepare_jina\n"
        "before = os.environ.get('HOME'); prepare_jina(); assert os.environ.get('HOME') == before"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environ)
    assert done.returncode == 0, done.stderr
    assert [*tmp_path.iterdir()] == []


def test_no_temporary_folder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(StateError, match=r"a temporary folder can't be created.*set TMPDIR"), temporary_folder("locks"):
        pass


def test_no_place_for_collections_is_told() -> None:
    without = ["env", "-u", "HOME", "-u", "XDG_DATA_HOME", "-u", "JINA_WORKSPACE", *another_user()]
    command = [*without, sys.executable, "-m", "cli.main", "search", "x"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "set HOME" in done.stderr
    assert "-w" in done.stderr
    assert "Traceback" not in done.stderr
