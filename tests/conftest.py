"""Shared fixtures: toy data that is indexed once, and services that are started once, through the command line."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads yield their core to other workers

import httpx
import hypothesis
import pytest
from fork_server import ForkServer, Program
from httpx._transports import default as default_transport
from stores import new_store, open_store, postgresql

from serving.jina.ports import LOOPBACK, in_url, reserve_port_pair

__all__ = ["new_store", "open_store", "postgresql"]

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "app.py"
TOY = ROOT / "tests" / "data" / "drawn"
"""Two hundred generated scenes with five captions each, from the distribution of the bundled weights `scenes`."""
START_LIMIT_S = 120
COMMAND_LIMIT_S = 180

TOY_DATA = (TOY, "--collection", "toy-data", "--weights", "scenes")
"""Arguments of `crossmodal index` that index the scenes into every task's default collection."""
DRAWN = ("-d", *TOY_DATA)
"""The same for `python app.py -t index`."""

RunApp = Callable[..., subprocess.CompletedProcess[str]]

# Otherwise each `httpx.get` and its like reads all certificates anew, which takes five times as long as an answer here.
default_transport.create_ssl_context = cache(default_transport.create_ssl_context)

hypothesis.settings.register_profile(
    "suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)  # other processes may slow a test down
hypothesis.settings.load_profile("suite")


@cache
def fork_server() -> ForkServer:
    """The fork server of this test worker."""
    server = ForkServer()
    atexit.register(server.close)
    return server


def run_script(script: Path, *arguments: str | Path, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """The completed process of `python SCRIPT ARGUMENTS...`, with a time limit."""
    return run_python(script, *arguments, stdin=stdin, **env)


def run_code(code: str, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """The completed process of `python -c CODE ARGUMENTS...`, with a time limit."""
    return run_python("-c", code, *arguments, **env)


def run_crossmodal(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """The completed process of `crossmodal ARGUMENTS...`, with a time limit."""
    return run_code("from cli.main import main; main()", *arguments, **env)


def run_python(*argv: object, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """The completed process of `python ARGV...`, which the fork server can start, with a time limit."""
    command = [*map(str, argv)]
    environ = {**os.environ, **env}
    with TemporaryFile("w+") as in_, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        in_.write(stdin)
        in_.seek(0)
        program: Program | subprocess.Popen[bytes]
        if any(name.startswith("HF_") for name in env):  # the hub's client reads these when imported
            program = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, stdin=in_, stdout=out, stderr=err, env=environ
            )
        else:
            program = fork_server().start(command, environ, [in_.fileno(), out.fileno(), err.fileno()])
        try:
            code = program.wait(COMMAND_LIMIT_S)
        finally:
            program.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), err.read())


@pytest.fixture(scope="session")
def run_app() -> RunApp:
    """A function that runs `python app.py ...` and returns the completed process."""
    return partial(run_script, APP)


@pytest.fixture(scope="session")
def toy_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the indexed toy data, for reading only; a test that writes creates its own."""
    workspace = tmp_path_factory.mktemp("workspace")
    done = run_crossmodal("index", *TOY_DATA, "-w", workspace)  # without a Flow, which leaves the same and takes longer
    assert done.returncode == 0, done.stderr
    return workspace


def first_of_toy_data(folder: Path, n: int) -> Path:
    """The folder, filled with the first `n` pictures of the toy data and their captions."""
    (folder / "images").mkdir()
    names = [f"test-{number:05d}.jpg" for number in range(n)]
    for name in names:
        shutil.copy(TOY / "images" / name, folder / "images")
    lines = (TOY / "captions.txt").read_text().splitlines()
    kept = [line for line in lines if line.split(",")[0] in ("image", *names)]
    (folder / "captions.txt").write_text("\n".join(kept) + "\n")
    return folder


@dataclass(frozen=True)
class Service:
    """A running service."""

    url: str
    port: int
    process: Program


@contextmanager
def started(
    task: str, workspace: Path, *arguments: str, key: str = "", app: Path = APP, host: str = LOOPBACK
) -> Iterator[Service]:
    """A service that answers within the block; `key` is an API key, if the service requires one."""
    port = reserve_port_pair()
    url = f"http://{in_url(LOOPBACK if host in (LOOPBACK, '::') else host)}:{port}"
    command = [str(app), "-t", task, "-w", str(workspace), "--host", host, "--port", str(port), *arguments]
    with open(os.devnull, "r+b") as nothing:
        process = fork_server().start(command, dict(os.environ), [nothing.fileno(), nothing.fileno(), 2])
    try:
        _wait_for(f"{url}/status", process, {"X-API-Key": key} if key else {})
        yield Service(url, port, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(START_LIMIT_S)


def _wait_for(url: str, process: Program, headers: dict[str, str]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    with httpx.Client(timeout=2, headers=headers) as client:
        while time.monotonic() < deadline:
            assert process.poll() is None, f"the service ended with {process.returncode}"
            try:
                client.get(url).raise_for_status()
                return
            except httpx.TransportError:
                time.sleep(0.05)
    pytest.fail(f"{url} did not answer within {START_LIMIT_S} s")


@pytest.fixture(scope="session")
def query_service(toy_workspace: Path) -> Iterator[Service]:
    """The service `query_restful` over the toy data."""
    with started("query_restful", toy_workspace) as service:
        yield service


@pytest.fixture(scope="session")
def writable_service(toy_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service `query_restful --writable` over a copy of the toy data, from which tests may remove pictures."""
    with writable_copy(toy_workspace, tmp_path_factory.mktemp("writable")) as service:
        yield service


@contextmanager
def writable_copy(toy_workspace: Path, folder: Path) -> Iterator[Service]:
    """The service `query_restful --writable` over a copy of the toy data in a folder."""
    workspace = shutil.copytree(toy_workspace, folder / "workspace")
    with started("query_restful", workspace, "--writable") as service:
        yield service


@pytest.fixture(scope="session")
def toy_map(toy_workspace: Path) -> None:
    """Creates the map of the toy data; changes nothing else in the workspace."""
    done = run_script(APP, "-t", "map", "-w", toy_workspace)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, started for one module; tests/browser/browsing.py says why."""
    from browsing import chromium

    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core."""
    from browsing import axe_script

    return axe_script(tmp_path_factory.mktemp("axe"))


@pytest.fixture
def folder_of_all() -> Iterator[Path]:
    """An empty folder that all users may write to, unlike `tmp_path`."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the model hub, without network access."""
    import huggingface_hub.constants

    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError("no way out")

    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def pytest_collection_finish() -> None:
    """Limits torch to one thread: parallel test workers share the cores, and most models are tiny."""
    import torch

    torch.set_num_threads(1)
