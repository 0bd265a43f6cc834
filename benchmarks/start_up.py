"""How long `python app.py -t index` and one query from the command line take on toy data, from start to exit.

    python benchmarks/start_up.py [--repeat 3] [--workspace PATH] [--json PATH]

`index_s` is indexing, and `own_s` that less `loading_s`, a process that only imports torch and open_clip and loads the
model. `index_again_s` is indexing the same data again. `one_shot_query_s` is `-t query-t2i`, and `one_shot_over_torch`
that divided by `torch_s`, a process that only imports torch. Each figure is a median, all of the same run.
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
QUERY = "two dogs playing in the snow"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workspace", help="search the toy-data collection there, and index nothing")
    parser.add_argument("--json")
    given = parser.parse_args()
    if given.workspace:
        figures = query_figures(given.workspace, given.repeat)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            figures = {**index_figures(scratch, given.repeat), **query_figures(scratch, given.repeat)}
    write_figures(given.json, figures)


def index_figures(workspace: str, repeat: int) -> dict[str, float]:
    """Seconds of indexing; the workspace then has the toy data."""
    loading, whole, again = [], [], []
    for number in range(repeat):
        loading.append(timed([sys.executable, "-c", LOAD]))
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, "app.py", "-t", "index", "-w", workspace if number == 0 else scratch]
            whole.append(timed(command))
            again.append(timed(command))
    return {
        "index_s": statistics.median(whole),
        "loading_s": statistics.median(loading),
        "own_s": statistics.median(whole) - statistics.median(loading),
        "index_again_s": statistics.median(again),
    }


def query_figures(workspace: str, repeat: int) -> dict[str, float]:
    """Seconds of one query, and of importing torch alone."""
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
