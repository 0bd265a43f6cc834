"""A disk that is full to the last byte, so that not even the report of the run can be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import APP, ROOT
from others import small_disk


@pytest.mark.parametrize("program", [(APP, "-t"), ("-m", "cli.main")], ids=["flow", "here"])
def test_a_full_disk_is_told_and_nothing_else(tmp_path: Path, program: tuple[str, ...]) -> None:
    command = [*small_disk(tmp_path, 1_500), sys.executable, *program, "index", "-w", tmp_path / "w", "-n", "60"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    *_, kept, told = done.stderr.splitlines()
    assert told.startswith("error: ")
    assert "the disk is full" in told
    assert "free some space" in told.lower()
    assert kept.startswith("the report of this run was not written to")
