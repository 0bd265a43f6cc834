"""What can go wrong while a Flow starts."""

from __future__ import annotations

import errno
import os
import select
import shutil
import socket
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TOY, RunApp, run_crossmodal
from filelock import FileLock
from jina.constants import __cache_path__
from threadpoolctl import threadpool_info

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.settings import Settings
from crossmodal.encoders.clip import BUNDLED_FOLDER
from serving.jina import supervisor
from serving.jina.ports import reserve_port_pair
from serving.jina.supervisor import _load, running_flow


def test_an_executor_that_cannot_start_is_named_and_nothing_hangs(run_app: RunApp, tmp_path: Path) -> None:
    weights, workspace = tmp_path / "weights", tmp_path / "w"
    shutil.copytree(BUNDLED_FOLDER, weights)
    done = run_crossmodal("index", TOY, "-n", "2", "-w", workspace, "--collection", "toy-data", "--weights", weights)
    assert done.returncode == 0, done.stderr
    os.truncate(weights / "open_clip_model.safetensors", 1_000_000)
    done = run_app("-t", "query_restful", "-w", workspace, "--port", reserve_port_pair())
    assert done.returncode == 1
    assert "text_encoder" in done.stderr  # by Jina's log, which names the Executor
    assert "error: the Flow did not start" in done.stderr
    assert done.stdout == ""


def test_a_store_of_another_format_is_told_in_one_line(run_app: RunApp, toy_workspace: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(toy_workspace, workspace)
    with closing(sqlite3.connect(Collection.open(workspace / "toy-data").folder / "documents.sqlite")) as store:
        store.execute("PRAGMA user_version = 99")
    done = run_app("-t", "query_restful", "-w", workspace, "--port", reserve_port_pair())
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "has format 99" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_flow_waits_for_no_other_of_the_machine(run_app: RunApp, tmp_path: Path) -> None:
    """Another Flow, of whatever program, that loads an Executor of the same name holds Jina's lock meanwhile."""
    locks = Path(__cache_path__, "locks")
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / "TextEncoder.lock"), FileLock(locks / "KeyValueIndexer.lock"):
        done = run_app("-t", "index", "-d", TOY, "-n", "1", "-w", tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_flow_asks_nobody_outside(run_app: RunApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jina asks three services of the internet for this machine's address; who has a proxy sees it there."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        done = run_app("-t", "index", "-d", TOY, "-n", "1", "-w", tmp_path)
        asked, _, _ = select.select([proxy], [], [], 0)
    assert done.returncode == 0, done.stderr
    assert not asked


def test_no_file_to_be_had_ends_the_start(toy_workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port can't be held for want of a file; that is no reason to look for another without end."""

    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    collection = Collection.open(toy_workspace / "toy-data")
    monkeypatch.setattr("serving.jina.supervisor.held", refuse)
    with ExitStack() as held, pytest.raises(StateError, match=r"can't be reserved.*too many open files.*ulimit -n"):
        _load("query", collection, Settings(), held, read_paths=False)


def test_the_processes_of_a_flow_compute_products_with_one_thread(
    toy_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other threads of OpenBLAS wait for the next product at full speed; forked processes inherit their number."""

    def found() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool.get("threading_layer") == "pthreads"]

    at_start: list[int] = []
    before = found()

    class Parts(ExitStack):
        num_pods = 0

        def start(self) -> None:
            at_start.extend(found())

    monkeypatch.setattr(supervisor, "_load", lambda *_, **__: Parts())
    settings = replace(Settings(), port=reserve_port_pair())
    with running_flow("query", Collection.open(toy_workspace / "toy-data"), settings):
        meanwhile = found()
    assert at_start == meanwhile == [1] * len(before)
    assert found() == before
