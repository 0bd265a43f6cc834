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

FORKED = """
import os, signal
from serving.jina.processes import signals_as_interrupt

with signals_as_interrupt():
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGINT)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_signal_ends_a_process_that_was_just_forked_without_a_traceback() -> None:
    """As Ctrl-C does, which all processes of a terminal receive."""
    done = subprocess.run([sys.executable, "-c", FORKED], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("130\n", "")


def test_a_signal_that_comes_at_a_bad_moment_still_stops_the_service() -> None:
    done = subprocess.run([sys.executable, "-c", LOST_INTERRUPT], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "stopped\n"
    assert "KeyboardInterrupt" in done.stderr
