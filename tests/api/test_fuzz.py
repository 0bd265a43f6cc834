"""Three hundred malformed requests; `benchmarks/fuzz.py` alone sends thousands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

LIMIT_S = 500
GROWTH_AT_MOST = 0.25
"""Three hundred requests are few: what is allocated once counts, too."""


def test_malformed_requests_cost_a_refusal(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, ROOT / "benchmarks" / "fuzz.py", "--requests", "300", "--seed", "7", "--json", figures]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())["figures"]
    assert found.pop("memory_growth") < GROWTH_AT_MOST, done.stdout
    assert found == {"requests": 300, "server_errors": 0, "hangs": 0, "good": 1}, done.stdout
