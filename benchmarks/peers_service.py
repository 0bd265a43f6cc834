"""Services of the programs that `peers.py` compares: starting them, and clients that send text queries."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from load import Outcomes, load, post, status_of
from peers_programs import Served, names_in
from peers_setup import ProgramError

from serving.jina.ports import reserve_port_pair

START_LIMIT_S = 180


@contextmanager
def serving(program: Served, state: Path) -> Iterator[int]:
    """The port of a running service.

    Raises:
        ProgramError: The service ends, or is not ready within START_LIMIT_S.
    """
    port, log = reserve_port_pair(), state / "service.log"
    command = program.serve(state, port)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command.arguments,
            cwd=command.cwd,
            env={**os.environ, **command.variables},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        start = time.perf_counter()
        while status_of(port, program.ready_path) != 200:
            if process.poll() is not None or time.perf_counter() - start > START_LIMIT_S:
                raise ProgramError(program.name, "the service did not start", command.arguments, log.read_text())
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait(90)


def found(program: Served, port: int) -> list[str]:
    """The names of the pictures that a query finds."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    path, body = program.request()
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    with connection.getresponse() as response:
        return names_in(response.read().decode())


def queries(program: Served, port: int, n_clients: int, seconds: float) -> Outcomes:
    """The outcomes of text queries from concurrent clients."""
    return load(port, n_clients, seconds, ask=partial(_ask, program))


def _ask(program: Served, connection: HTTPConnection) -> int:
    return post(connection, *program.request())
