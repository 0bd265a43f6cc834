"""What the tests share: toy data indexed once, and services started once, all as a user would start them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway.ports import free_ports

ROOT = Path(__file__).resolve().parent.parent
TOY = ROOT / "data" / "toy-data"
START_LIMIT_S = 120
COMMAND_LIMIT_S = 180

RunApp = Callable[..., subprocess.CompletedProcess[str]]


def _run_app(*arguments: str | Path, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "app.py"), *map(str, arguments)],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        env={**os.environ, **env},
    )


@pytest.fixture(scope="session")
def run_app() -> RunApp:
    """Runs `python app.py ...` to its end, with a time limit."""
    return _run_app


@pytest.fixture(scope="session")
def toy_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the toy data in it. Tests read it; one that writes makes its own."""
    workspace = tmp_path_factory.mktemp("workspace")
    done = _run_app("-t", "index", "-w", workspace)
    assert done.returncode == 0, done.stderr
    return workspace


@dataclass(frozen=True)
class Service:
    """A started service."""

    url: str
    port: int
    process: subprocess.Popen[bytes]


@contextmanager
def started(
    task: str, workspace: Path, *arguments: str, key: str = "", app: Path = ROOT / "app.py"
) -> Iterator[Service]:
    """A service from the moment it answers until the block is left; `key` is for one that asks for it."""
    port = free_ports()
    command = [sys.executable, str(app), "-t", task, "-w", str(workspace), "--port", str(port), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/status", process, {"X-API-Key": key} if key else {})
        yield Service(f"http://127.0.0.1:{port}", port, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes], headers: dict[str, str]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the service ended with {process.returncode}"
        try:
            httpx.get(url, timeout=2, headers=headers).raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"{url} did not answer within {START_LIMIT_S} s")


@pytest.fixture(scope="session")
def query_service(toy_workspace: Path) -> Iterator[Service]:
    """`query_restful` over the toy data."""
    with started("query_restful", toy_workspace) as service:
        yield service


@pytest.fixture(scope="session")
def toy_map(toy_workspace: Path) -> None:
    """The map of the toy data, which changes nothing else in the workspace."""
    done = _run_app("-t", "map", "-w", toy_workspace)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the model hub's, and no way out."""
    import huggingface_hub.constants

    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError("no way out")

    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One thread for torch: tiny models are too small for two."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
