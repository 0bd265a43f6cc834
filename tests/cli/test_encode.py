"""The command `encode`, in its own process and on a Ray cluster of two nodes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
from conftest import COMMAND_LIMIT_S, ROOT, TOY, RunApp, run_code

HEAD, SECOND = "127.0.0.2", "127.0.0.3"
BROKEN = ("test-00010-broken.jpg", "test-00150-broken.jpg")
OPTIONS = ("--weights", "scenes", "--part-size", "15")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred pictures without captions, and two broken ones."""
    root = tmp_path_factory.mktemp("pictures")
    for picture in (TOY / "images").iterdir():
        shutil.copy2(picture, root)
    for name in BROKEN:
        (root / name).write_bytes(b"no picture")
    return root


def encode(run_app: RunApp, *arguments: str | Path) -> dict[str, Any]:
    done = run_app("-t", "encode", *OPTIONS, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def parts(folder: Path, run_app: RunApp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parts of the folder, encoded in one process."""
    out = tmp_path_factory.mktemp("parts")
    answer = encode(run_app, "-d", folder, "--out", out)
    assert answer["images"] == {"encoded": 200, "unchanged": 0, "failed": 2}
    assert sorted(Path(failure["path"]).name for failure in answer["failures"]) == list(BROKEN)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_parts_are_imported(parts: Path, run_app: RunApp, tmp_path: Path) -> None:
    done = run_app("-t", "import", parts, "-w", tmp_path, "--collection", "c", "--json")
    assert json.loads(done.stdout)["indexed"] == 200
    assert json.loads(done.stdout)["calibrated"] is False
    again = run_app("-t", "import", parts, "-w", tmp_path, "--collection", "c")
    assert "imported: 0 documents; unchanged: 200" in again.stdout
    assert "next: python app.py -t calibrate --collection c, so that results have a relevance" in again.stdout
    done = run_app("-t", "query-t2i", "a red star", "-w", tmp_path, "--collection", "c")
    assert done.returncode == 0, done.stderr


def test_parts_of_another_model_are_not_mixed(
    parts: Path, folder: Path, toy_workspace: Path, run_app: RunApp, tmp_path: Path
) -> None:
    done = run_app("-t", "encode", "-d", folder, "--out", parts, "-m", "clip", "--weights", "photos")
    assert done.returncode == 1
    assert "has parts of clip scenes" in done.stderr
    assert "or another folder with --out" in done.stderr
    out = tmp_path / "photos"
    assert run_app("-t", "encode", "-d", folder, "-n", "2", "--out", out, "--weights", "photos").returncode == 0
    done = run_app("-t", "import", out, "-w", toy_workspace, "--collection", "toy-data")
    assert done.returncode == 1
    assert "was indexed with clip scenes" in done.stderr


def test_a_run_goes_on_with_the_model_of_its_parts(parts: Path, folder: Path, run_app: RunApp) -> None:
    done = run_app("-t", "encode", "-d", folder, "--out", parts, "--part-size", "15", "--json")
    answer = json.loads(done.stdout)
    assert answer["images"] == {"encoded": 0, "unchanged": 200, "failed": 2}
    assert answer["parts"] == {"encoded": 0, "unchanged": len(contents(parts))}
    assert answer["model"].startswith("clip scenes")


def test_what_encode_refuses(folder: Path, run_app: RunApp, tmp_path: Path) -> None:
    for arguments, message in (
        ((), "takes --out PARTS"),
        (("--out", folder / BROKEN[0]), "a file of this name exists already"),
        (("--out", tmp_path / "x", "--split", "test"), "has no split"),
    ):
        done = run_app("-t", "encode", "-d", folder, *arguments)
        assert done.returncode == 1, arguments
        assert message in done.stderr


# -- on a cluster


@dataclass
class Cluster:
    """A Ray cluster on loopback: a head with one CPU, and a second node."""

    address: str
    nodes: list[subprocess.Popen[bytes]]
    folder: Path

    def start(self, *arguments: str) -> None:
        ray = Path(sys.executable).with_name("ray")
        command = [ray, "start", "--block", "--num-cpus=1", "--object-store-memory=80000000", *arguments]
        with (self.folder / f"{len(self.nodes)}.log").open("wb") as log:
            environ = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
            node = subprocess.Popen([*map(str, command)], stdout=log, stderr=log, env=environ)
        self.nodes.append(node)

    def wait_for(self, number: int) -> None:
        """Waits until a node has started."""
        log, deadline = self.folder / f"{number}.log", time.monotonic() + COMMAND_LIMIT_S
        while b"Ray runtime started" not in log.read_bytes():
            assert time.monotonic() < deadline, log.read_text()
            assert self.nodes[number].poll() is None, log.read_text()
            time.sleep(0.2)

    def end(self, number: int) -> None:
        """Kills all processes of a node."""
        node = self.nodes[number]
        if node.poll() is None:
            parent = psutil.Process(node.pid)
            for process in [*parent.children(recursive=True), parent]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            node.wait()


def is_free(port: int) -> bool:
    """Whether no program has a port. Those below 32768 are not given to connections, as one is that is asked for."""
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("", port))
        return True
    return False


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if find_spec("ray") is None:
        pytest.skip("requirements-scale.txt is not installed")
    port = next(filter(is_free, range(20000 + os.getpid() % 10000, 32000)))
    with TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:  # short: Ray's sockets are in it
        made = Cluster(f"{HEAD}:{port}", [], Path(folder))
        workers = ("--min-worker-port=0", "--max-worker-port=0")
        made.start(
            "--head", f"--node-ip-address={HEAD}", f"--port={port}", f"--temp-dir={folder}/ray", *workers,
            "--include-dashboard=false", "--disable-usage-stats",
        )  # fmt: skip
        try:
            made.wait_for(0)
            made.start(f"--address={made.address}", f"--node-ip-address={SECOND}", *workers)
            made.wait_for(1)
            yield made
        finally:
            for number in range(len(made.nodes)):
                made.end(number)


def test_workers_that_can_not_encode(cluster: Cluster, folder: Path) -> None:
    """A part whose worker ends again is given up, and no other one; a machine with another version is refused."""
    script = """
import os, sys
from crossmodal.bulk import ray_cluster
from crossmodal.bulk.encoding import PartEncoder, Work
from crossmodal.bulk.inputs import read_inputs
from crossmodal.bulk.parts import cut
from crossmodal.collection.transfer import Origin
from crossmodal.core.engine import FLOAT32
from crossmodal.core.errors import StateError
from crossmodal.encoders.registry import resolve

class Fragile(PartEncoder):
    def encode(self, part):
        if any("broken" in item.uri for item in part.inputs):
            os._exit(1)
        return super().encode(part)

ray_cluster.PartEncoder, ray_cluster.MAX_TRIES = Fragile, 2
work = Work(Origin(resolve("clip", "scenes"), FLOAT32, "c"))
encode = ray_cluster.encode_on_cluster(sys.argv[1], work, 1, lambda line: print(line, file=sys.stderr))
inputs = sorted(read_inputs(sys.argv[2]), key=lambda item: item.uri)[:40]
results = [(any("broken" in item.uri for item in part.inputs), result) for part, result in encode(cut(inputs, 10))]
assert all(isinstance(result, str) == is_broken for is_broken, result in results), results
assert any(not is_broken for is_broken, _ in results)
print(*(result for is_broken, result in results if is_broken))
ray_cluster.__version__ = "0"
try:
    list(encode(cut(inputs, 10)))
except StateError as error:
    print(error)
"""
    done = run_code(script, cluster.address, folder)
    assert done.returncode == 0, done.stderr
    assert "the process that encoded it ended 2 times" in done.stdout
    assert "expected 0: install the same one" in done.stdout


def test_a_node_is_killed_and_the_parts_are_the_same(
    cluster: Cluster, folder: Path, parts: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    script = f"""
import sys, time
from pathlib import Path
from cli.main import main
from crossmodal.bulk import ray_cluster
from crossmodal.bulk.encoding import PartEncoder

class Waiting(PartEncoder):
    def encode(self, part):
        end = time.monotonic() + {COMMAND_LIMIT_S}
        while not Path({str(killed)!r}).exists() and time.monotonic() < end:
            time.sleep(0.05)
        return super().encode(part)

ray_cluster.PartEncoder = Waiting
main(sys.argv[1:])
"""
    out = tmp_path / "out"
    arguments = ["encode", str(folder), *OPTIONS, "--out", str(out), "--json", "--cluster", cluster.address]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        messages = []
        for line in process.stderr:
            messages.append(line)
            if f"{SECOND}: a worker has started" in line:
                cluster.end(1)
                killed.touch()
        assert process.stdout is not None
        answer = json.loads(process.stdout.read())
    assert process.returncode == 0
    assert any(f"{SECOND}: a worker ended" in message for message in messages), messages
    assert answer["images"] == {"encoded": 200, "unchanged": 0, "failed": 2}
    assert sorted(Path(failure["path"]).name for failure in answer["failures"]) == list(BROKEN)
    assert contents(out) == contents(parts)


def test_no_cluster_at_the_address(folder: Path, run_app: RunApp, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="requirements-scale.txt is not installed")
    done = run_app("-t", "encode", "-d", folder, *OPTIONS, "--out", tmp_path / "x", "--cluster", f"{HEAD}:1")
    assert done.returncode == 1
    assert f"the Ray cluster at {HEAD}:1 can't be reached" in done.stderr
