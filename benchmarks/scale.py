"""Time, memory, speed and recall of every kind of vector index at scale, against hnswlib and usearch.

    python benchmarks/scale.py [--n 1000000] [--kinds flat ivf-pq ... | all] [--folder DIR] [--json PATH] [--plot PNG]

The vectors are generated unit vectors of 512 dimensions: n / 200 centres in a subspace of 64 dimensions, since
embeddings have a low intrinsic dimension, and around them noise of the same length with a decaying spectrum, so that
clusters overlap. The queries come from the same distribution. (Uniformly random vectors have no near neighbours, and
between random centres in all 512 dimensions a graph index finds no path.)

Each index is built in one process with all cores and measured in another, which opens its files. `resident` is that
process's memory after its queries, Python (about 55 MB) included: anonymous memory and pages of mapped files (Rss of
smaps_rollup); `anonymous` is the part that is not mapped files. Queries run one at a time on one thread; queries per
second are by processor time, the best of several rounds of a fifth of a second, since the machine may be busy. (No
query waits for the disk: all files are in the page cache.) Recall is the share of `flat`'s ten best that are found.

The peers get the same vectors, the same number of links and the same construction effort. They and our fast kind, if it
is a graph, are measured at rising search efforts (ef) and compared at a recall of 0.95, with the speed interpolated
between the two nearest efforts.

A million vectors take about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
from common import in_own_process, memory_mb, write_figures
from ingest import ingest
from scale_indexes import DIM, PEERS, QUERIES, K, Opened, Search, build_ours, generate, open_ours

from crossmodal.index.choice import choose
from crossmodal.index.kinds import ALL_KINDS, HNSW_FP16, IVF_PQ

AMPLE_BYTES, EQUAL_RECALL = 64 * 10**9, 0.95
ROUND_S, MEASURED_S = 0.2, 3.0
EFFORTS = (12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
TRUTH = "truth.npy"


@dataclass(frozen=True)
class Row:
    """The measurements of one index at one search effort; 0 is the default effort."""

    name: str
    effort: int
    build_s: float
    resident_mb: float
    anonymous_mb: float
    file_mb: float
    open_s: float
    qps: float
    recall: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", default=["all"], help="`all`, or names; flat is always measured")
    parser.add_argument("--no-peers", action="store_true", help="don't measure hnswlib and usearch")
    parser.add_argument("--folder", help="keep the generated vectors here and reuse them")
    parser.add_argument("--json")
    parser.add_argument("--plot", metavar="PNG")
    arguments = parser.parse_args()
    missing = [] if arguments.no_peers else [name for name in PEERS if not find_spec(name)]
    if missing:
        raise SystemExit(
            f"{' and '.join(missing)}: not installed. Run `pip install hnswlib usearch`, or pass --no-peers"
        )
    fast, small = choose(arguments.n, DIM, AMPLE_BYTES).kind, IVF_PQ
    names = {*arguments.kinds, "flat", str(fast), str(small)}
    kinds = [kind for kind in ALL_KINDS if "all" in names or str(kind) in names]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(arguments.folder or scratch) / f"{arguments.n}x{DIM}"
        generate(folder, arguments.n)
        rows: list[Row] = []
        for name in [*map(str, kinds), *(() if arguments.no_peers else PEERS)]:
            is_swept = name in PEERS or (name == str(fast) and fast == HNSW_FP16)
            rows += printed(measured(name, folder, Path(scratch), is_swept))
        values = figures(rows, str(fast), str(small))
        values |= {"ingest_per_s": in_own_process(ingest, Path(scratch) / "ingest", arguments.n)["ingest_per_s"]}
    write_figures(arguments.json, values)
    if arguments.plot:
        plot(rows, arguments.n, arguments.plot)


def figures(rows: list[Row], fast_name: str, small_name: str) -> dict[str, float]:
    """The summary figures; all ratios are within one run."""
    flat, fast, small = (next(row for row in rows if row.name == name) for name in ("flat", fast_name, small_name))
    values = {
        "fast_recall": fast.recall,
        "fast_qps_over_flat": fast.qps / flat.qps,
        "small_recall": small.recall,
        "small_qps_over_flat": small.qps / flat.qps,
        "small_memory_over_flat": small.resident_mb / flat.resident_mb,
        "open_s": fast.open_s,
    }
    ours = qps_at(EQUAL_RECALL, rows, fast_name) if fast.name.startswith("hnsw") else fast.qps
    present = {row.name for row in rows}
    return values | {f"ours_over_{peer}": ours / qps_at(EQUAL_RECALL, rows, peer) for peer in PEERS if peer in present}


def qps_at(recall: float, rows: list[Row], name: str) -> float:
    """Queries per second of an index at a recall, interpolated between its rows of rising effort."""
    efforts = [row for row in rows if row.name == name and row.effort]
    for less, more in pairwise(efforts):
        if less.recall <= recall <= more.recall and less.recall < more.recall:
            share = (recall - less.recall) / (more.recall - less.recall)
            return math.exp((1 - share) * math.log(less.qps) + share * math.log(more.qps))
    return efforts[0].qps if recall < efforts[0].recall else efforts[-1].qps


def measured(name: str, folder: Path, scratch: Path, is_swept: bool) -> list[Row]:
    """The rows of one index, built in one process and measured in another."""
    build, opened = PEERS.get(name, (build_ours, open_ours))
    before = set(scratch.iterdir())
    build_s = in_own_process(build, name, folder, scratch)
    files = set(scratch.iterdir()) - before
    file_mb = sum(path.stat().st_size for path in files) / 1e6
    efforts = (() if name in PEERS else (0,)) + (EFFORTS if is_swept else ())
    measurements = in_own_process(measure, opened, name, folder, scratch, efforts)
    for path in files:
        path.unlink()
    return [Row(name=name, build_s=build_s, file_mb=file_mb, **values) for values in measurements]


def measure(
    opened: Callable[..., Opened], name: str, folder: Path, scratch: Path, efforts: tuple[int, ...]
) -> list[dict[str, float]]:
    """Time to open an index, and its recall, speed and memory at each search effort."""
    queries = np.load(folder / QUERIES)
    start = time.perf_counter()
    search, set_effort = opened(name, scratch)
    open_s = time.perf_counter() - start
    rows = []
    for effort in efforts:
        set_effort(effort)
        keys = np.concatenate([search(queries[i : i + 50]) for i in range(0, len(queries), 50)])
        if name == "flat":
            np.save(folder / TRUTH, keys)
        truth = np.load(folder / TRUTH)
        recall = float(np.mean([np.isin(expected, found).mean() for expected, found in zip(truth, keys, strict=True)]))
        qps = queries_per_second(search, queries)
        resident, anonymous = memory_mb()
        sizes = {"resident_mb": resident, "anonymous_mb": anonymous}
        rows.append({"effort": effort, "open_s": open_s, "recall": recall, "qps": qps, **sizes})
    return rows


def queries_per_second(search: Search, queries: np.ndarray) -> float:
    """Queries per second of processor time, one query at a time: the best round within `MEASURED_S` seconds."""
    singles = [queries[i : i + 1] for i in range(len(queries))]
    start = time.process_time()
    search(singles[0])
    n_round = min(len(singles), max(1, int(ROUND_S / (time.process_time() - start))))
    best, at, end = 0.0, 0, time.perf_counter() + MEASURED_S
    while time.perf_counter() < end or at < 3 * n_round:
        start = time.process_time()
        for i in range(at, at + n_round):
            search(singles[i % len(singles)])
        best = max(best, n_round / (time.process_time() - start))
        at += n_round
    return best


def printed(rows: list[Row]) -> list[Row]:
    """Prints the rows of one index and returns them; a heading precedes the first index."""
    if rows[0].name == "flat":
        print(f"{'index':18} build s  resident MB  anonymous MB  file MB   open s       QPS  recall@{K}")
    for row in rows:
        name = row.name + (f" ef {row.effort}" if row.effort else "")
        print(
            f"{name:18} {row.build_s:7.1f}  {row.resident_mb:11.0f}  {row.anonymous_mb:12.0f}  {row.file_mb:7.0f}"
            f"  {row.open_s:7.3f}  {row.qps:8.1f}  {row.recall:9.4f}",
            flush=True,
        )
    return rows


def plot(rows: list[Row], n: int, path: str) -> None:
    """Plots speed against recall and against memory."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (by_recall, by_memory) = pyplot.subplots(1, 2, figsize=(13, 6), sharey=True)
    first = {row.name: row for row in reversed(rows)}
    for name in first:
        if efforts := [row for row in rows if row.name == name and row.effort]:
            by_recall.plot(
                [row.recall for row in efforts], [row.qps for row in efforts], ".-", label=f"{name}, ef rising"
            )
    for axes, attribute in ((by_recall, "recall"), (by_memory, "resident_mb")):
        for name, row in first.items():
            if name not in PEERS or axes is by_memory:
                axes.plot(getattr(row, attribute), row.qps, "o", color="grey" if name in PEERS else "black")
                axes.annotate(name, (getattr(row, attribute), row.qps), xytext=(4, 4), textcoords="offset points")
    by_recall.set(xlabel=f"recall@{K}", ylabel="queries per second, one thread", yscale="log")
    by_memory.set(xlabel="resident memory, MB", xscale="log")
    by_recall.legend()
    figure.suptitle(f"{n:,} vectors of {DIM}")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
