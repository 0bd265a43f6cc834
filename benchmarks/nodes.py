"""Two query nodes of one collection in PostgreSQL: what the second one adds, and what reading one's writes costs.

    python benchmarks/nodes.py [--seconds 8] [--clients 8] [--json PATH]

Each node may use one half of the cores, and has an encoder thread for each of them. The first node also writes. The
server, which is that of the tests, and the clients, which are threads of this process, share all cores with the nodes:
with only two cores, they take a part of what the second node could add.

- `nodes_gain`: queries/s of both nodes with `--clients` each, over those of the second node alone; the two phases are
  measured in turns, and the median counts;
- `after_seq_over_search`: the time of a search on the second node that must see what the first has just indexed, over
  that of a search without this condition, of medians.

Both nodes must answer the same, or the program ends with an error.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from common import ROOT, write_figures
from load import START_LIMIT_S, load, status_of, until

from serving.jina.ports import reserve_port_pair

sys.path.insert(0, str(ROOT / "tests"))
from postgresql_server import running_server

TURNS, WRITES = 3, 20
PICTURES = ROOT / "tests" / "data" / "drawn"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each phase")
    parser.add_argument("--clients", type=int, default=8, help="of each node")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("needs two cores")
    halves = cores[: len(cores) // 2], cores[len(cores) // 2 :]
    with ExitStack() as stack:
        server = stack.enter_context(running_server())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        collection = ["--store", server.url, "--collection", "nodes"]
        index = ["-t", "index", "-w", str(scratch / "0"), *collection, "-d", str(PICTURES), "--weights", "scenes"]
        subprocess.run([sys.executable, ROOT / "app.py", *index], check=True, stdout=subprocess.DEVNULL)
        writer = stack.enter_context(node(scratch / "1", collection, halves[0], "--writable"))
        other = stack.enter_context(node(scratch / "2", collection, halves[1]))
        for port in (writer, other):
            load(port, arguments.clients, 2.0)  # warm-up
        check_same(writer, other)
        one: list[float] = []
        two: list[float] = []
        for _ in range(TURNS):
            one.append(together([other], arguments.clients, arguments.seconds / TURNS))
            two.append(together([writer, other], arguments.clients, arguments.seconds / TURNS))
        plain_s, after_s = read_writes(writer, other)
        check_same(writer, other)
    print(f"one node {statistics.median(one):.0f} queries/s, two {statistics.median(two):.0f}")
    write_figures(
        arguments.json,
        {"nodes_gain": statistics.median(two) / statistics.median(one), "after_seq_over_search": after_s / plain_s},
    )


@contextmanager
def node(workspace: Path, collection: list[str], cores: list[int], *options: str) -> Iterator[int]:
    """The port of a ready query node on some cores."""
    port = reserve_port_pair()
    command = ["taskset", "-c", ",".join(map(str, cores)), sys.executable, str(ROOT / "app.py"), "-t", "query_restful"]
    command += ["-w", str(workspace), *collection, "--port", str(port), "--threads", str(len(cores)), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until(lambda: status_of(port, "/readyz") == 200)
        yield port
    finally:
        process.terminate()
        process.wait(START_LIMIT_S)


def together(ports: list[int], clients: int, seconds: float) -> float:
    """Queries per second of nodes that are queried at the same time.

    Raises:
        RuntimeError: A query failed.
    """
    with ThreadPoolExecutor() as threads:
        phases = list(threads.map(lambda port: load(port, clients, seconds), ports))
    if failed := sum(len(phase.answers) - phase.count(200) for phase in phases):
        raise RuntimeError(f"{failed} queries failed")
    return sum(phase.per_s for phase in phases)


def read_writes(writer: int, other: int) -> tuple[float, float]:
    """Median seconds of a search on the other node, without and with the number of a commit that was just made."""
    plain: list[float] = []
    after: list[float] = []
    for n in range(WRITES):
        asked = {"text": f"a red circle {n}", "target": "text"}
        seq = post(writer, "/index", {"data": [asked["text"]]})["seq"]
        for times, body in ((after, {**asked, "after_seq": seq}), (plain, asked)):
            start = time.perf_counter()
            found = [result["text"] for result in post(other, "/search", body)["results"]]
            times.append(time.perf_counter() - start)
            if asked["text"] not in found:
                raise RuntimeError(f"{asked['text']!r}, number {seq}, was not found")
    return statistics.median(plain), statistics.median(after)


def check_same(one: int, two: int) -> None:
    """Checks that two nodes answer the same; raises RuntimeError otherwise."""
    for text in ("two hearts", "a red ring", "three green stars -blue"):
        asked = {"text": text, "target": "both", "top_k": 50}
        answers = [post(port, "/search", asked)["results"] for port in (one, two)]
        if answers[0] != answers[1]:
            raise RuntimeError(f"the nodes do not answer the same to {text!r}")


def post(port: int, path: str, body: Any) -> Any:
    """The JSON of an answer; raises RuntimeError for a status other than 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status}, {content.decode()[:300]}")
    return json.loads(content)


if __name__ == "__main__":
    main()
