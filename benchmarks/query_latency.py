"""What a text query costs beside its encoding, and how soon a service answers.

    python benchmarks/query_latency.py [--queries 300] [--json PATH]

Starts `app.py -t query_restful` on toy data (indexed into a scratch workspace first), asks distinct short
queries one after the other over HTTP, and subtracts from each the encoding time the answer reports.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace

import httpx
from common import ROOT, write_figures

from crossmodal.core.settings import Settings
from crossmodal.scenes.world import COLOURS, SHAPES
from gateway.flow import free_ports

START_LIMIT_S = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        app = [sys.executable, str(ROOT / "app.py"), "-w", scratch]
        subprocess.run([*app, "-t", "index"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        settings = replace(Settings(), port=free_ports())
        start = time.perf_counter()
        service = subprocess.Popen(
            [*app, "-t", "query_restful", "--port", str(settings.port)], stdout=subprocess.DEVNULL
        )
        try:
            figures = measure(f"http://127.0.0.1:{settings.port}/search", given.queries, start)
        finally:
            service.terminate()
            service.wait(30)
    write_figures(given.json, figures)


def measure(url: str, n_queries: int, start: float) -> dict[str, float]:
    """First answer, then the overhead of n queries after ten to warm up."""
    total, overhead = [], []
    with httpx.Client(timeout=10) as client:
        while True:
            try:
                client.post(url, json={"data": ["hello world"]}).raise_for_status()
                break
            except httpx.TransportError:
                if time.perf_counter() - start > START_LIMIT_S:
                    raise
                time.sleep(0.05)
        first_answer_s = time.perf_counter() - start
        for number in range(n_queries + 10):
            colours, shapes = COLOURS[number % 10 :], SHAPES[number // 10 % 12 :]
            text = f"{colours[0]} {shapes[0]} and {colours[-1]} {shapes[-1]} number {number}"
            asked = time.perf_counter()
            (doc,) = client.post(url, json={"data": [text], "top_k": 10}).json()["data"]["docs"]
            spent_ms = (time.perf_counter() - asked) * 1e3
            if number >= 10:
                total.append(spent_ms)
                overhead.append(spent_ms - doc["timings_ms"]["encode"])
    return {
        "overhead_p50_ms": statistics.median(overhead),
        "overhead_p95_ms": statistics.quantiles(overhead, n=20)[-1],
        "total_p50_ms": statistics.median(total),
        "first_answer_s": first_answer_s,
    }


if __name__ == "__main__":
    main()
