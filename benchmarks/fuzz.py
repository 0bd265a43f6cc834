"""Malformed requests against a service that writes and fetches URLs; each must be answered or refused.

    python benchmarks/fuzz.py [--requests 5000] [--seed 1] [--only N] [--json PATH]

Starts `app.py -t query_restful --writable --allow-url-fetch` on toy data and sends malformed bodies, headers, pictures,
forms and parameters (`fuzz_cases.py`): four of five requests over HTTP, as raw bytes, and one over gRPC.

- `server_errors`: status 5xx except 503 with Retry-After, and over gRPC neither an answer nor a refusal; each is
  printed with its number, and `--only` repeats it;
- `hangs`: no answer within 20 s to a complete request;
- `memory_growth`: the relative growth of all processes' memory after the first fifth of the requests;
- `good`: 1 if afterwards a picture can be indexed and found, and the service is healthy.
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
from fuzz_grpc import grpc_case, send_grpc  # noqa: E402

LIMIT_S, START_LIMIT_S, N_THREADS, WARM = 20.0, 180.0, 4, 5


class Fuzz:
    """Sends the cases and counts their outcomes."""

    def __init__(self, port: int, seed: int) -> None:
        self.port, self.seed = port, seed
        self.outcomes: Counter[str] = Counter()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port + 1}")

    def send(self, number: int) -> None:
        """Sends one case; prints a faulty or missing answer."""
        rng = Random(f"{self.seed}:{number}")
        if number % 5 == 4:
            outcome = send_grpc(self.channel, *grpc_case(rng), LIMIT_S)
        else:
            case = http_case(rng)
            outcome = send_http(self.port, case.raw, case.is_whole)
        kind = outcome.split()[0]
        self.outcomes[kind] += 1
        if kind in ("fault", "hang"):
            print(f"case {number}: {outcome}", flush=True)

    def send_all(self, numbers: range) -> None:
        """Sends cases from several threads."""
        remaining = iter(numbers)
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    number = next(remaining, None)
                if number is None:
                    return
                self.send(number)

        threads = [threading.Thread(target=work) for _ in range(N_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def send_http(port: int, raw: bytes, is_whole: bool) -> str:
    """The outcome of an HTTP request: `answered`, `refused`, `closed`, `gone`, `hang`, or `fault` with details."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as connection:
            connection.sendall(raw)
            if not is_whole:
                connection.settimeout(0.5)  # no answer is due to an incomplete request
            answer = b""
            while received := connection.recv(1 << 16):
                answer += received
    except TimeoutError:
        return "hang" if is_whole else "gone"
    except OSError:
        return "closed"  # the service closed the connection while the request was being sent
    head = answer.split(b"\r\n\r\n")[0]
    status = int(head[9:12]) if head.startswith(b"HTTP/1.1 ") else 0
    if status >= 500 and not (status == 503 and b"retry-after" in head.lower()):
        return f"fault {status}: {answer[-300:]!r} to {raw[:300]!r}"
    return "closed" if status == 0 else "answered" if status < 400 else "refused"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="send only this case")
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
    """A ready service on toy data: its process and port."""
    with tempfile.TemporaryDirectory() as scratch:
        app = [sys.executable, str(ROOT / "app.py"), "-w", scratch]
        subprocess.run([*app, "-t", "index"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = reserve_port_pair()
        command = [*app, "-t", "query_restful", "--writable", "--allow-url-fetch", "--port", str(port)]
        with open(f"{scratch}/log", "wb") as log:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
            try:
                deadline = time.monotonic() + START_LIMIT_S
                while (
                    send_http(port, b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", True) != "answered"
                ):
                    if time.monotonic() > deadline or process.poll() is not None:
                        raise SystemExit("the service did not start")
                    time.sleep(0.1)
                yield psutil.Process(process.pid), port
            finally:
                process.terminate()
                process.wait(90)


def memory_mb(process: psutil.Process) -> float:
    """The proportional set size of a process and all its descendants in MB."""
    return sum(p.memory_full_info().pss for p in [process, *process.children(recursive=True)]) / 1e6


def answers_well(port: int) -> bool:
    """Whether a picture can be indexed and found, and the service is healthy."""
    uri = "data:image/png;base64," + base64.b64encode(sound_picture("PNG")).decode()
    (doc,) = _post(port, "/index", {"data": [uri]})["data"]["docs"]
    results = _post(port, "/search", {"image": uri, "target": "image", "top_k": 1})["results"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=LIMIT_S) as answer:
        return bool(results[0]["id"] == doc["id"]) and answer.status == 200


def _post(port: int, path: str, body: object) -> dict[str, list[dict[str, object]]]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        content: dict[str, list[dict[str, object]]] = json.loads(answer.read())
        return content


if __name__ == "__main__":
    main()
