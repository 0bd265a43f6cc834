"""A writer that is killed, and a disk that fails: nothing is lost, nothing comes back, nothing is half there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("kills", "faults"), [(20, 0), (0, 8)])
def test_crashes(tmp_path: Path, kills: int, faults: int) -> None:
    if faults and not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("a disk that fails needs a C compiler")
    figures = tmp_path / "figures.json"
    command = [sys.executable, ROOT / "benchmarks" / "crash.py", "--json", figures]
    done = subprocess.run(
        [*command, "--kills", str(kills), "--faults", str(faults), "--seed", "7"],
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    expected = {"kills": kills, "faults": faults, "unclear": 0, "lost": 0, "resurrected": 0, "corrupt": 0}
    assert json.loads(figures.read_text())["figures"] == expected
    assert "documents in the end" in done.stdout
