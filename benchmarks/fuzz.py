"""Malformed requests against a service that writes and fetches; what they may cost is a refusal.

    python benchmarks/fuzz.py [--requests 5000] [--seed 1] [--only N] [--json PATH]

Starts `app.py -t query_restful --writable --allow-url-fetch` on toy data and sends bodies, headers, pictures, forms
and parameters that are wrong somewhere (`fuzz_cases.py`), four of five over HTTP, down to the bytes, and one over gRPC:

- `server_errors`: 5xx but 503 with Retry-After, over gRPC what is neither an answer nor a refusal; each is printed
  with its number, and `--only` sends that one again;
- `hangs`: no answer within 20 s; one that breaks off itself needs none;
- `memory_growth`: the resident memory of all processes at the end over that after a fifth of the requests, less 1;
- `good`: 1 if afterwards a picture is taken in and found, and the service is healthy.
"""

from __future__ import annotations

import argparse
import base64
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import psutil
from common import ROOT, write_figures

from serving.jina.ports import reserve_port_pair
from serving.jina.supervisor import prepare_jina

prepare_jina()

import grpc  # noqa: E402
from fuzz_cases import http_case, sound_picture  # noqa: E402
from fuzz_grpc import asked_over, grpc_case  # noqa: E402

LIMIT_S, START_LIMIT_S, N_THREADS, WARM = 20.0, 180.0, 4, 5


class Fuzz:
    """Sends the cases and keeps what became of them."""

    def __init__(self, port: int, seed: int) -> None:
        self.port, self.seed = port, seed
        self.outcomes: Counter[str] = Counter()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port + 1}")

    def send(self, number: int) -> None:
        """Sends one case; what is wrong with the answer is printed."""
        rng = Random(f"{self.seed}:{number}")
        if number % 5 == 4:
            outcome = asked_over(self.channel, *grpc_case(rng), LIMIT_S)
        else:
            case = http_case(rng)
            outcome = ask(self.port, case.raw, case.is_whole)
        kind = outcome.split()[0]
        self.outcomes[kind] += 1
        if kind in ("fault", "hang"):
            print(f"case {number}: {outcome}", flush=True)

    def send_all(self, numbers: range) -> None:
        """Sends many, several at a time."""
        left = iter(numbers)
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    number = next(left, None)
                if number is None:
                    return
                self.send(number)

        threads = [threading.Thread(target=work) for _ in range(N_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def ask(port: int, raw: bytes, is_whole: bool) -> str:
    """What became of a request over HTTP, as `asked_over` says it."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as connection:
            connection.sendall(raw)
            if not is_whole:
                connection.settimeout(0.5)  # its body may never be complete, so nothing has to come
            answer = b""
            while received := connection.recv(1 << 16):
                answer += received
    except TimeoutError:
        return "hang" if is_whole else "gone"
    except OSError:
        return "closed"  # it was refused while it was still being sent
    head = answer.split(b"\r\n\r\n")[0]
    status = int(head[9:12]) if head.startswith(b"HTTP/1.1 ") else 0
    if status >= 500 and not (status == 503 and b"retry-after" in head.lower()):
        return f"fault {status}: {answer[-300:]!r} to {raw[:300]!r}"
    return "closed" if status == 0 else "answered" if status < 400 else "refused"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="send this case and no others")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with service() as (process, port):
        fuzz = Fuzz(port, arguments.seed)
        if arguments.only is not None:
            fuzz.send(arguments.only)
            print(dict(fuzz.outcomes))
            return
        n_warm = arguments.requests // WARM
        fuzz.send_all(range(n_warm))
        before = memory_mb(process)
        fuzz.send_all(range(n_warm, arguments.requests))
        time.sleep(1)
        after = memory_mb(process)
        print(f"{before:.0f} MB before, {after:.0f} MB after; {dict(fuzz.outcomes.most_common())}")
        figures = {
            "requests": sum(fuzz.outcomes.values()),
            "server_errors": fuzz.outcomes["fault"],
            "hangs": fuzz.outcomes["hang"],
            "memory_growth": after / before - 1,
            "good": float(answers_well(port)),
        }
    write_figures(arguments.json, figures)


@contextmanager
def service() -> Iterator[tuple[psutil.Process, int]]:
    """A service on toy data that is ready."""
    with tempfile.TemporaryDirectory() as scratch:
        app = [sys.executable, str(ROOT / "app.py"), "-w", scratch]
        subprocess.run([*app, "-t", "index"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = reserve_port_pair()
        command = [*app, "-t", "query_restful", "--writable", "--allow-url-fetch", "--port", str(port)]
        with open(f"{scratch}/log", "wb") as log:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
            try:
                deadline = time.monotonic() + START_LIMIT_S
                while ask(port, b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", True) != "answered":
                    if time.monotonic() > deadline or process.poll() is not None:
                        raise SystemExit("the service did not start")
                    time.sleep(0.1)
                yield psutil.Process(process.pid), port
            finally:
                process.terminate()
                process.wait(90)


def memory_mb(process: psutil.Process) -> float:
    """The proportional resident memory of a process and all its descendants."""
    return sum(one.memory_full_info().pss for one in [process, *process.children(recursive=True)]) / 1e6


def answers_well(port: int) -> bool:
    """Whether a picture is taken in and found, and all parts are there."""
    uri = "data:image/png;base64," + base64.b64encode(sound_picture("PNG")).decode()
    (doc,) = _post(port, "/index", {"data": [uri]})["data"]["docs"]
    found = _post(port, "/search", {"image": uri, "target": "image", "top_k": 1})["results"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=LIMIT_S) as answer:
        return bool(found[0]["id"] == doc["id"]) and answer.status == 200


def _post(port: int, path: str, body: object) -> dict[str, list[dict[str, object]]]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        told: dict[str, list[dict[str, object]]] = json.loads(answer.read())
        return told


if __name__ == "__main__":
    main()
