"""A killed writer, a disk that fails, a killed server: nothing is lost, nothing comes back, nothing is half there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from postgresql_server import binaries

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


def test_crashes_of_a_server(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="requirements-scale.txt is not installed")
    if binaries() is None:
        pytest.skip("no PostgreSQL server runs here")
    figures = tmp_path / "figures.json"
    command = [sys.executable, ROOT / "benchmarks" / "store_crash.py", "--kills", "3", "--json", figures]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())["figures"]
    assert {name: found[name] for name in ("kills", "lost", "resurrected", "corrupt")} == {
        "kills": 3, "lost": 0, "resurrected": 0, "corrupt": 0,
    }  # fmt: skip
    assert found["documents"] > 0
