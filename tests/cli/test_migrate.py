"""migrate and verify --against through the command line: killed on the way, and on a disk that is full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import APP, ROOT, RunApp
from others import small_disk
from postgresql_server import PostgresqlServer

from crossmodal.collection.collection import Collection
from crossmodal.core.types import Document, ModelSpec, Preprocessing
from crossmodal.store.records import NewDocument

MODEL = ModelSpec("clip", "small", "0" * 64, 4, Preprocessing(8))


def made(workspace: Path, name: str, n: int, thumbnail: bytes = b"thumbnail") -> Collection:
    collection = Collection.create(workspace / name, MODEL)
    with collection.store(writable=True) as store:
        vector = np.eye(4, dtype=np.float32)[0]
        store.put([NewDocument(Document(f"d{number}", "image"), vector, thumbnail) for number in range(n)])
    return collection


def test_a_copy_survives_kills(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="requirements-scale.txt is not installed")
    figures = tmp_path / "figures.json"
    command = [sys.executable, ROOT / "benchmarks" / "migration.py", "--documents", "1500", "--kills", "2"]
    done = subprocess.run([*command, "--json", figures], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(figures.read_text())["figures"] == {"documents": 1440, "kills": 2, "differences": 0, "named": 1}


def test_the_commands(run_app: RunApp, postgresql: PostgresqlServer, tmp_path: Path) -> None:
    collection = made(tmp_path / "w", "migrated", 5)
    own = ("-w", tmp_path / "w", "--collection", "migrated")
    done = run_app("-t", "migrate", *own, "--to", postgresql.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{postgresql.url} has the collection with its 5 documents",
        "copied by this run, including any earlier state: 5",
        f"to use it: --store {postgresql.url} -w NEW_FOLDER",
    ]
    done = run_app("-t", "verify", *own, "--against", postgresql.url)
    assert (done.returncode, done.stdout) == (0, f"5 documents, compared with {postgresql.url}: no differences\n")
    with collection.store(writable=True) as store:
        store.update([("d3", {"late": True})])
    done = run_app("-t", "verify", *own, "--against", postgresql.url, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"problems": [{"item": "d3", "reason": "differs in tags"}]}
    cache = ("-w", tmp_path / "cache", "--store", postgresql.url, "--collection", "migrated")
    done = run_app("-t", "migrate", *cache, "--to", tmp_path / "back", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"documents": 5, "copied": 5})
    done = run_app("-t", "migrate", *own, "--to", tmp_path / "back")
    assert done.returncode == 1
    assert "has a collection migrated with other content (d3: differs in tags)" in done.stderr
    done = run_app("-t", "migrate", *own)
    assert done.returncode == 1
    assert "migrate takes --to" in done.stderr


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    collection = made(tmp_path / "w", "c", 300, bytes(10_000))
    (tmp_path / "disk").mkdir()
    command = [*small_disk(tmp_path / "disk", 1_000), sys.executable, APP, "-t", "migrate", "-w", tmp_path / "w"]
    command += ["--collection", "c", "--to", tmp_path / "disk" / "x"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    [told] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "the disk is full" in told
    with collection.store() as store:
        assert store.counts()["image"] == 300
