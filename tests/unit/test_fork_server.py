"""A program that is started by fork ends as one that is started anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, fork_server, run_code, run_script


@pytest.mark.parametrize(
    "text",
    [
        "print('done')",
        "import sys; print(sys.argv[1:], sys.stdin.read(), __name__); sys.exit(3)",
        "raise SystemExit('said as it ends')",
        "import sys; sys.exit(None)",
        "import atexit; atexit.register(print, 'at exit'); 1 / 0",
        "import os; print(os.environ['OF_THIS_ONE'], 'PATH' in os.environ, os.getcwd())",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), print('waited for'))).start()",
        "import os, sys; os.environ.pop('AGAIN', '') or (os.environ.update(AGAIN='1'),"
        " os.execv(sys.executable, sys.orig_argv)); print('anew', sys.argv[1:])",
    ],
)
def test_it_ends_as_it_would(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.py"
    script.write_text(text)
    fork_server()  # which has PATH
    monkeypatch.delenv("PATH")
    forked = run_script(script, "an argument", stdin="typed", OF_THIS_ONE="x")
    anew = subprocess.run(
        [sys.executable, script, "an argument"], cwd=ROOT, input="typed", capture_output=True, text=True, timeout=60,
        env={**os.environ, "OF_THIS_ONE": "x"},
    )  # fmt: skip
    assert (forked.returncode, forked.stdout) == (anew.returncode, anew.stdout)
    assert forked.stderr.splitlines()[-1:] == anew.stderr.splitlines()[-1:]


@pytest.mark.parametrize("code", ["import sys; print(sys.argv, __name__)", "class A:\n    def a(self): 1 / 0\nA().a()"])
def test_code_runs_as_it_would(code: str) -> None:
    forked = run_code(code, "an argument")
    anew = subprocess.run(
        [sys.executable, "-c", code, "an argument"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (forked.returncode, forked.stdout) == (anew.returncode, anew.stdout)
    assert forked.stderr.splitlines()[-1:] == anew.stderr.splitlines()[-1:]


def test_it_is_waited_for_and_ended(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import time; time.sleep(60)")
    program = fork_server().start([str(script)], dict(os.environ), [0, 1, 2])
    assert program.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.1)
    program.terminate()
    assert program.wait(10) == program.poll() == -15
    program.kill()  # which is nobody's any more
