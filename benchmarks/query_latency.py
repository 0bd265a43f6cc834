"""Measures the overhead of a text query over its encoding, and the time until a service answers.

    python benchmarks/query_latency.py [--queries 300] [--json PATH]

Starts `app.py -t query_restful` on toy data (indexed into a scratch workspace first), sends distinct short queries one
after the other over HTTP, and subtracts from each time the encoding time that the answer reports.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from http.client import HTTPConnection

from common import ROOT, write_figures

from crossmodal.core.settings import Settings
from crossmodal.scenes.world import COLOURS, SHAPES
from serving.jina.ports import reserve_port_pair

START_LIMIT_S = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        app = [sys.executable, str(ROOT / "app.py"), "-w", scratch]
        subprocess.run([*app, "-t", "index"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        settings = replace(Settings(), port=reserve_port_pair())
        start = time.perf_counter()
        service = subprocess.Popen(
            [*app, "-t", "query_restful", "--port", str(settings.port)], stdout=subprocess.DEVNULL
        )
        try:
            figures = measure(settings.port, arguments.queries, start)
        finally:
            service.terminate()
            service.wait(30)
    write_figures(arguments.json, figures)


def measure(port: int, n_queries: int, start: float) -> dict[str, float]:
    """The time until the first answer, and the overhead of n queries after ten warm-up queries."""
    total, overhead = [], []
    while True:
        try:
            query(HTTPConnection("127.0.0.1", port, timeout=10), "hello world")
            break
        except OSError:
            if time.perf_counter() - start > START_LIMIT_S:
                raise
            time.sleep(0.05)
    first_answer_s = time.perf_counter() - start
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    for number in range(n_queries + 10):
        colours, shapes = COLOURS[number % 10 :], SHAPES[number // 10 % 12 :]
        text = f"{colours[0]} {shapes[0]} and {colours[-1]} {shapes[-1]} number {number}"
        sent = time.perf_counter()
        answer = query(connection, text)
        spent_ms = (time.perf_counter() - sent) * 1e3
        (doc,) = json.loads(answer)["data"]["docs"]
        if number >= 10:
            total.append(spent_ms)
            overhead.append(spent_ms - doc["timings_ms"]["encode"])
    return {
        "overhead_p50_ms": statistics.median(overhead),
        "overhead_p95_ms": statistics.quantiles(overhead, n=20)[-1],
        "total_p50_ms": statistics.median(total),
        "first_answer_s": first_answer_s,
    }


def query(connection: HTTPConnection, text: str) -> bytes:
    """The body of the answer to a text query. Does not use httpx, which adds more than a millisecond."""
    body = json.dumps({"data": [text], "top_k": 10})
    connection.request("POST", "/search", body, {"Content-Type": "application/json"})
    with connection.getresponse() as response:
        answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"status {response.status}: {answer[:200]!r}")
    return answer


if __name__ == "__main__":
    main()
