"""A request to stop is never lost."""

import subprocess
import sys

from conftest import ROOT

LOST_INTERRUPT = """
import os, signal
from serving.jina.supervisor import _signals_as_interrupt, serve_until_stopped

class Asks:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(10))

with _signals_as_interrupt():
    Asks()  # Python prints an exception in a finalizer and goes on
    serve_until_stopped()
    print("stopped")
"""


def test_a_signal_that_comes_at_a_bad_moment_still_stops_the_service() -> None:
    done = subprocess.run([sys.executable, "-c", LOST_INTERRUPT], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "stopped\n"
    assert "KeyboardInterrupt" in done.stderr
