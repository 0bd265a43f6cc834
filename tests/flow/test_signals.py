"""A request to stop is never lost."""

import subprocess
import sys

from conftest import ROOT

LOST_INTERRUPT = """
import os, signal
from serving.jina.processes import signals_as_interrupt
from serving.jina.supervisor import serve_until_stopped

class Asks:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(10))

with signals_as_interrupt():
    Asks()  # Python prints an exception in a finalizer and goes on
    serve_until_stopped()
    print("stopped")
"""


def test_a_signal_that_comes_at_a_bad_moment_still_stops_the_service() -> None:
    done = subprocess.run([sys.executable, "-c", LOST_INTERRUPT], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "stopped\n"
    assert "KeyboardInterrupt" in done.stderr
