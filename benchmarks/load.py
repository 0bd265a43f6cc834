"""A service under load, under too much of it, and without one of its parts.

    python benchmarks/load.py [--seconds 60] [--clients 64] [--json PATH]

Starts `app.py -t query_restful` on toy data and asks distinct text queries over HTTP, from threads of this process,
each with a connection of its own:

- one client, then 32: `batching_gain` is how many times the queries a second of one client 32 together get;
- `--clients` for `--seconds`: `errors` are answers but 200 and 429, and connections that broke; `p99_ms` of the rest;
- four times the clients and four times the queries a second of that, for ten seconds: `shed` is the share of 429
  and 503, `overload_errors` everything else but 200, `calm_after_s` how soon afterwards a query is answered within
  a second;
- an Executor is killed while eight clients ask: `recovery_s` until `/readyz` is 200 again, `hung` the requests in
  between that had no answer within 20 s.

Clients and service share the cores of the machine; an idle one has more to give than this says.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

import numpy as np
import psutil
from common import ROOT, write_figures

from crossmodal.scenes.world import COLOURS, SHAPES
from serving.jina.ports import reserve_port_pair

START_LIMIT_S, ANSWER_LIMIT_S, PHASE_S, IN_TIME_S = 120.0, 20.0, 10.0, 1.0
NO_ANSWER, BROKEN = -1, -2
_numbers = itertools.count()


@dataclass
class Asked:
    """What became of the queries of a phase: (status, seconds) of each."""

    answers: list[tuple[int, float]] = field(default_factory=list)
    took_s: float = 0.0

    def share(self, *statuses: int) -> float:
        """Of all queries, those with one of these statuses."""
        return self.count(*statuses) / max(1, len(self.answers))

    def count(self, *statuses: int) -> int:
        """How many had one of these statuses."""
        return sum(status in statuses for status, _ in self.answers)

    @property
    def per_s(self) -> float:
        """Queries a second that were answered."""
        return self.count(200) / self.took_s

    def percentile_ms(self, q: float) -> float:
        """Of the time of those that were answered."""
        return float(np.percentile([spent for status, spent in self.answers if status == 200] or [np.nan], q)) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with service() as (process, port):
        load(port, 8, 3.0)  # to warm up
        one, many = load(port, 1, PHASE_S), load(port, 32, PHASE_S)
        told("1 client", one)
        told("32 clients", many)
        busy = load(port, arguments.clients, arguments.seconds)
        told(f"{arguments.clients} clients", busy)
        flood = load(port, 4 * arguments.clients, PHASE_S, per_s=4 * busy.per_s)
        calm_after_s = until(lambda: in_time(port))
        told(f"{4 * busy.per_s:.0f} asked a second", flood)
        recovery_s, hurt = killed(process, port)
        told("an Executor killed", hurt)
    write_figures(
        arguments.json,
        {
            "errors": len(busy.answers) - busy.count(200, 429),
            "p50_ms": busy.percentile_ms(50),
            "p99_ms": busy.percentile_ms(99),
            "queries_per_s": busy.per_s,
            "batching_gain": many.per_s / one.per_s,
            "shed": flood.share(429, 503),
            "overload_errors": len(flood.answers) - flood.count(200, 429, 503),
            "calm_after_s": calm_after_s,
            "recovery_s": recovery_s,
            "hung": hurt.count(NO_ANSWER),
        },
    )


@contextmanager
def service() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A service on toy data that is ready."""
    with tempfile.TemporaryDirectory() as scratch:
        app = [sys.executable, str(ROOT / "app.py"), "-w", scratch]
        subprocess.run([*app, "-t", "index"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = reserve_port_pair()
        command = [*app, "-t", "query_restful", "--port", str(port)]
        # A service without one of its parts says so for every request.
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: status_of(port, "/readyz") == 200)
            yield process, port
        finally:
            process.terminate()
            process.wait(90)


def load(port: int, n_clients: int, seconds: float, per_s: float = 0.0, stop: threading.Event | None = None) -> Asked:
    """Queries of `n_clients` at once; each asks the next when it has its answer, or `per_s` of them together."""
    found, end = Asked(), time.perf_counter() + seconds

    def client() -> None:
        connection, due = HTTPConnection("127.0.0.1", port, timeout=ANSWER_LIMIT_S), time.perf_counter()
        while time.perf_counter() < end and not (stop and stop.is_set()):
            start = time.perf_counter()
            found.answers.append((ask(connection), time.perf_counter() - start))
            if per_s:
                due += n_clients / per_s
                time.sleep(max(0.0, due - time.perf_counter()))

    clients = [threading.Thread(target=client) for _ in range(n_clients)]
    start = time.perf_counter()
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    found.took_s = time.perf_counter() - start
    return found


def ask(connection: HTTPConnection) -> int:
    """One query that was not asked before; its status, or why there is none."""
    n = next(_numbers)
    text = f"a {COLOURS[n % len(COLOURS)]} {SHAPES[n // 7 % len(SHAPES)]} number {n}"
    try:
        connection.request("POST", "/search", json.dumps({"data": [text]}), {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            response.read()
            return response.status
    except TimeoutError:
        connection.close()
        return NO_ANSWER
    except (OSError, HTTPException):
        connection.close()
        return BROKEN


def status_of(port: int, path: str) -> int:
    """The status of a GET."""
    connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER_LIMIT_S)
    try:
        connection.request("GET", path)
        with connection.getresponse() as response:
            response.read()
            return response.status
    except TimeoutError:
        return NO_ANSWER
    except (OSError, HTTPException):
        return BROKEN
    finally:
        connection.close()


def in_time(port: int) -> bool:
    """Whether a query is answered within IN_TIME_S."""
    return ask(HTTPConnection("127.0.0.1", port, timeout=IN_TIME_S)) == 200


def until(holds: Callable[[], bool]) -> float:
    """Seconds until something holds."""
    start = time.perf_counter()
    while not holds():
        if time.perf_counter() - start > START_LIMIT_S:
            raise SystemExit(f"the service did not answer as it should within {START_LIMIT_S:.0f} s")
        time.sleep(0.05)
    return time.perf_counter() - start


def killed(process: subprocess.Popen[bytes], port: int) -> tuple[float, Asked]:
    """Kills an Executor under load; seconds until the service is ready again, and what clients saw."""
    stop, seen = threading.Event(), list[Asked]()
    asking = threading.Thread(target=lambda: seen.append(load(port, 8, START_LIMIT_S, per_s=40, stop=stop)))
    asking.start()
    time.sleep(1.0)
    psutil.Process(process.pid).children()[0].kill()
    start = time.perf_counter()
    until(lambda: status_of(port, "/readyz") != 200)
    until(lambda: status_of(port, "/readyz") == 200)
    recovery_s = time.perf_counter() - start
    stop.set()
    asking.join()
    return recovery_s, seen[0]


def told(what: str, asked: Asked) -> None:
    """A line of a phase."""
    names = {NO_ANSWER: "no answer", BROKEN: "broken connection"}
    counts = Counter(names.get(status, str(status)) for status, _ in asked.answers)
    each = ", ".join(f"{n} x {name}" for name, n in counts.most_common())
    p50, p99 = asked.percentile_ms(50), asked.percentile_ms(99)
    print(f"{what:28} {asked.per_s:6.1f}/s  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  {each}", flush=True)


if __name__ == "__main__":
    main()
