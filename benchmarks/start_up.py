"""Measures `python app.py -t index` and one query from the command line on toy data, from start to exit.

    python benchmarks/start_up.py [--repeat 3] [--workspace PATH] [--json PATH]

`index_s` is indexing, and `own_s` is `index_s` minus `loading_s`, a process that only loads the model. `index_again_s`
is indexing the same data again. `one_shot_query_s` is `-t query-t2i`, and `one_shot_over_torch` is its ratio to
`torch_s`, a process that only imports torch. Each figure is a median of the run.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

from common import ROOT, write_figures

LOAD = "from crossmodal.encoders import registry; registry.load(registry.resolve('clip', 'photos'))"
QUERY = "two dogs playing in the snow"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workspace", help="search the toy-data collection of this workspace, and index nothing")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if arguments.workspace:
        figures = query_figures(arguments.workspace, arguments.repeat)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            figures = {**index_figures(scratch, arguments.repeat), **query_figures(scratch, arguments.repeat)}
    write_figures(arguments.json, figures)


def index_figures(workspace: str, repeat: int) -> dict[str, float]:
    """Seconds of indexing; afterwards the workspace has the toy data."""
    loading, first, again = [], [], []
    for number in range(repeat):
        loading.append(timed([sys.executable, "-c", LOAD]))
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, "app.py", "-t", "index", "-w", workspace if number == 0 else scratch]
            first.append(timed(command))
            again.append(timed(command))
    return {
        "index_s": statistics.median(first),
        "loading_s": statistics.median(loading),
        "own_s": statistics.median(first) - statistics.median(loading),
        "index_again_s": statistics.median(again),
    }


def query_figures(workspace: str, repeat: int) -> dict[str, float]:
    """Seconds of one query, and of only importing torch."""
    torch, query = [], []
    for _ in range(repeat):
        torch.append(timed([sys.executable, "-c", "import torch"]))
        query.append(timed([sys.executable, "app.py", "-t", "query-t2i", "-w", workspace, QUERY]))
    return {
        "one_shot_query_s": statistics.median(query),
        "torch_s": statistics.median(torch),
        "one_shot_over_torch": statistics.median(query) / statistics.median(torch),
    }


def timed(command: list[str]) -> float:
    """Seconds that a command takes; its output is discarded."""
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
