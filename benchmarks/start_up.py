"""How long `python app.py -t index` takes on toy data, and how much of that is the program's own.

    python benchmarks/start_up.py [--repeat 3] [--json PATH]

Importing torch and open_clip and loading the model is measured in a process of its own, in the same run,
and subtracted; each figure is the median.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

from common import ROOT, write_figures

LOAD = "from crossmodal.encoders import registry; registry.load(registry.resolve('clip', 'scenes'))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json")
    given = parser.parse_args()
    loading, whole, again = [], [], []
    for _ in range(given.repeat):
        loading.append(timed([sys.executable, "-c", LOAD]))
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, "app.py", "-t", "index", "-w", scratch]
            whole.append(timed(command))
            again.append(timed(command))
    figures = {
        "index_s": statistics.median(whole),
        "loading_s": statistics.median(loading),
        "own_s": statistics.median(whole) - statistics.median(loading),
        "index_again_s": statistics.median(again),
    }
    write_figures(given.json, figures)


def timed(command: list[str]) -> float:
    """Seconds a command takes; its output is dropped."""
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
