"""What the programs need before they can do anything: the right Python, and few modules."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

HEAVY = {"numpy", "torch", "jina", "docarray", "rich", "PIL", "fastapi", "platformdirs", "faiss", "scipy", "sqlite3"}
MODULES = "import sys; from contextlib import suppress\n{}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
HELP = "from {0} import main\nwith suppress(SystemExit): main(['--help'])"


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("program", ["cli.main", "app"])
def test_help_imports_nothing_heavy(program: str) -> None:
    done = run(MODULES.format(HELP.format(program)))
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
    assert HEAVY.isdisjoint(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("program", ["cli.main", "app"])
def test_another_python_is_refused(program: str) -> None:
    done = run(f"import sys; sys.version_info = (3, 12, 1); sys.version = '3.12.1 (main)'; import {program}")
    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 is required; this is 3.12.1.")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", ["cli.start", "app"])
def test_ctrl_c_during_the_imports_prints_no_traceback(program: str) -> None:
    interrupted = (
        "import sys\nclass Interrupt:\n def find_spec(self, name, *_):\n  if name == 'click': raise KeyboardInterrupt"
    )
    done = run(f"{interrupted}\nsys.meta_path.insert(0, Interrupt())\nfrom {program} import main\nmain()")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_flow_is_prepared_without_torch() -> None:
    prepare = "from serving.jina.supervisor import prepare_jina; prepare_jina(); import executors.schema"
    done = run(MODULES.format(f"import contextlib\n{prepare}"))
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert {"jina", "docarray"} <= imported
    assert "torch" not in imported
    assert run(f"{prepare}; import torch; assert torch.zeros(1).numpy()[0] == 0").returncode == 0
