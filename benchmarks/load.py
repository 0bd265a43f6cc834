"""Measures throughput, latency and errors of a service under load, under overload, and after a process is killed.

    python benchmarks/load.py [--seconds 60] [--clients 64] [--json PATH]

Starts `app.py -t query_restful` on toy data and sends distinct text queries over HTTP from threads of this process,
each with its own connection:

- one client, then 32: `batching_gain` is the ratio of their total queries per second;
- 32 clients with requests of the HTTP API instead of 2021's: `typed_queries_per_s`, and `typed_over_legacy`, its
  ratio to the 32 clients before;
- `--clients` for `--seconds`: `errors` counts statuses other than 200 and 429, and broken connections; `p50_ms`,
  `p99_ms` and `queries_per_s` are of the queries answered with 200;
- four times the clients at four times that rate, for ten seconds: `shed` is the share of 429 and 503,
  `overload_errors` counts all other outcomes except 200, and `calm_after_s` is the time until a query is answered
  within a second again;
- an Executor is killed while eight clients send queries: `recovery_s` is the time until `/readyz` is 200 again, `hung`
  the number of requests in between without an answer within 20 s.

Clients and service share the machine's cores, so a service with the machine to itself is faster.
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
from typing import Any

import numpy as np
import psutil
from common import ROOT, write_figures

from crossmodal.scenes.world import COLOURS, SHAPES
from serving.jina.ports import reserve_port_pair

START_LIMIT_S, ANSWER_LIMIT_S, PHASE_S, IN_TIME_S = 120.0, 20.0, 10.0, 1.0
NO_ANSWER, BROKEN = -1, -2
_numbers = itertools.count()


@dataclass
class Outcomes:
    """The (status, seconds) of each query of a phase."""

    answers: list[tuple[int, float]] = field(default_factory=list)
    took_s: float = 0.0

    def share(self, *statuses: int) -> float:
        """The share of queries with one of these statuses."""
        return self.count(*statuses) / max(1, len(self.answers))

    def count(self, *statuses: int) -> int:
        """The number of queries with one of these statuses."""
        return sum(status in statuses for status, _ in self.answers)

    @property
    def per_s(self) -> float:
        """Successful queries per second."""
        return self.count(200) / self.took_s

    def percentile_ms(self, q: float) -> float:
        """A percentile of the successful queries' times."""
        return float(np.percentile([spent for status, spent in self.answers if status == 200] or [np.nan], q)) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with service() as (process, port):
        load(port, 8, 3.0)  # warm-up
        one, many = load(port, 1, PHASE_S), load(port, 32, PHASE_S)
        print_phase("1 client", one)
        print_phase("32 clients", many)
        typed = load(port, 32, PHASE_S, ask=typed_query)
        print_phase("32 clients, typed", typed)
        busy = load(port, arguments.clients, arguments.seconds)
        print_phase(f"{arguments.clients} clients", busy)
        flood = load(port, 4 * arguments.clients, PHASE_S, per_s=4 * busy.per_s)
        calm_after_s = until(lambda: in_time(port))
        print_phase(f"{4 * busy.per_s:.0f} sent a second", flood)
        recovery_s, interrupted = killed(process, port)
        print_phase("an Executor killed", interrupted)
    write_figures(
        arguments.json,
        {
            "errors": len(busy.answers) - busy.count(200, 429),
            "p50_ms": busy.percentile_ms(50),
            "p99_ms": busy.percentile_ms(99),
            "queries_per_s": busy.per_s,
            "batching_gain": many.per_s / one.per_s,
            "typed_queries_per_s": typed.per_s,
            "typed_over_legacy": typed.per_s / many.per_s,
            "shed": flood.share(429, 503),
            "overload_errors": len(flood.answers) - flood.count(200, 429, 503),
            "calm_after_s": calm_after_s,
            "recovery_s": recovery_s,
            "hung": interrupted.count(NO_ANSWER),
        },
    )


@contextmanager
def service() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A ready service on toy data: its process and port."""
    with tempfile.TemporaryDirectory() as scratch:
        app = [sys.executable, str(ROOT / "app.py"), "-w", scratch]
        subprocess.run([*app, "-t", "index"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = reserve_port_pair()
        command = [*app, "-t", "query_restful", "--port", str(port)]
        # Discard stderr: after an Executor is killed, the service logs every request.
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: status_of(port, "/readyz") == 200)
            yield process, port
        finally:
            process.terminate()
            process.wait(90)


def load(
    port: int,
    n_clients: int,
    seconds: float,
    per_s: float = 0.0,
    stop: threading.Event | None = None,
    ask: Callable[[HTTPConnection], int] | None = None,
) -> Outcomes:
    """The outcomes of queries from concurrent clients, sent by `ask` (default: `query`).

    Each client sends its next query when the previous one is answered; all together at most `per_s` per second.
    """
    ask = ask or query
    outcomes, end = Outcomes(), time.perf_counter() + seconds

    def client() -> None:
        connection, due = HTTPConnection("127.0.0.1", port, timeout=ANSWER_LIMIT_S), time.perf_counter()
        while time.perf_counter() < end and not (stop and stop.is_set()):
            start = time.perf_counter()
            outcomes.answers.append((ask(connection), time.perf_counter() - start))
            if per_s:
                due += n_clients / per_s
                time.sleep(max(0.0, due - time.perf_counter()))

    clients = [threading.Thread(target=client) for _ in range(n_clients)]
    start = time.perf_counter()
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    outcomes.took_s = time.perf_counter() - start
    return outcomes


def query(connection: HTTPConnection) -> int:
    """The status of a new query in the form of 2021, or NO_ANSWER or BROKEN."""
    return post(connection, "/search", {"data": [new_text()]})


def typed_query(connection: HTTPConnection) -> int:
    """The status of a new query of the HTTP API, or NO_ANSWER or BROKEN."""
    return post(connection, "/search", {"text": new_text()})


def new_text() -> str:
    """A text that this process has not used before."""
    n = next(_numbers)
    return f"a {COLOURS[n % len(COLOURS)]} {SHAPES[n // 7 % len(SHAPES)]} number {n}"


def post(connection: HTTPConnection, path: str, body: Any) -> int:
    """The status of a POST request with a JSON body, or NO_ANSWER or BROKEN."""
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
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
    """The status of a GET request, or NO_ANSWER or BROKEN."""
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
    return query(HTTPConnection("127.0.0.1", port, timeout=IN_TIME_S)) == 200


def until(holds: Callable[[], bool]) -> float:
    """Seconds until a condition holds."""
    start = time.perf_counter()
    while not holds():
        if time.perf_counter() - start > START_LIMIT_S:
            raise SystemExit(f"the service did not reach the expected state within {START_LIMIT_S:.0f} s")
        time.sleep(0.05)
    return time.perf_counter() - start


def killed(process: subprocess.Popen[bytes], port: int) -> tuple[float, Outcomes]:
    """Kills an Executor under load; returns the seconds until the service is ready again, and the outcomes."""
    stop, results = threading.Event(), list[Outcomes]()
    clients = threading.Thread(target=lambda: results.append(load(port, 8, START_LIMIT_S, per_s=40, stop=stop)))
    clients.start()
    time.sleep(1.0)
    psutil.Process(process.pid).children()[0].kill()
    start = time.perf_counter()
    until(lambda: status_of(port, "/readyz") != 200)
    until(lambda: status_of(port, "/readyz") == 200)
    recovery_s = time.perf_counter() - start
    stop.set()
    clients.join()
    return recovery_s, results[0]


def print_phase(name: str, outcomes: Outcomes) -> None:
    """Prints the summary line of a phase."""
    names = {NO_ANSWER: "no answer", BROKEN: "broken connection"}
    counts = Counter(names.get(status, str(status)) for status, _ in outcomes.answers)
    summary = ", ".join(f"{n} x {status}" for status, n in counts.most_common())
    p50, p99 = outcomes.percentile_ms(50), outcomes.percentile_ms(99)
    print(f"{name:28} {outcomes.per_s:6.1f}/s  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  {summary}", flush=True)


if __name__ == "__main__":
    main()
