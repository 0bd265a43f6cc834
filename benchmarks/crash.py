"""Durability: kills a writer at random moments or fails its disk, and compares the store with what it acknowledged.

    python benchmarks/crash.py [--kills 200] [--faults 50] [--seed 0] [--json PATH]

A process (crash_steps.py) adds, updates and removes documents, writes snapshots, compacts and rebuilds. It is killed
with SIGKILL after a random time. Then the collection is opened, and its store and indexes are compared with the steps
that the process reported as done. The step in progress may be missing or present, but not partial. The next process
continues from there. The faults are writes that fail with a full disk and fsyncs that fail, from a random call on, by a
preloaded library (faults.c, needs a C compiler).

Figures: `kills`; `lost` (acknowledged, but missing); `resurrected` (present, but acknowledged as removed); `corrupt`
(present, but different from what was written, or not found by the index); `faults`; `unclear` (faults that did not end
in a clear error).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from common import write_figures
from crash_steps import FAILED, State, after, make_step, vector_of

from crossmodal.collection.collection import Collection
from crossmodal.core.types import MODALITIES

STEPS = Path(__file__).with_name("crash_steps.py")
LONGEST_S = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter(kills=0, faults=0, unclear=0, lost=0, resurrected=0, corrupt=0)
    with tempfile.TemporaryDirectory() as place:
        history = History(Path(place) / "collection", arguments.seed, Random(arguments.seed), counts)
        for _ in range(arguments.kills):
            history.kill_once()
        library = compile_faults(Path(place)) if arguments.faults else ""
        for number in range(arguments.faults):
            history.fail_once(library, ("full", "fsync")[number % 2])
        print(f"{history.n_done} steps, {len(history.state)} documents in the end")
    write_figures(arguments.json, dict(counts))
    sys.exit(1 if any(counts[name] for name in ("lost", "resurrected", "corrupt", "unclear")) else 0)


def compile_faults(folder: Path) -> str:
    """Compiles the library that injects disk faults; returns its path."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit("no C compiler: install one, or skip the faults with --faults 0")
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-w", "-o", library, source, "-ldl"], check=True)
    return str(library)


@dataclass
class History:
    """A collection and its expected content."""

    folder: Path
    seed: int
    rng: Random
    counts: Counter[str]

    def __post_init__(self) -> None:
        self.state: State = {}
        self.n_done = 0

    def kill_once(self) -> None:
        """Runs steps for a random time, kills the process, and checks the collection."""
        process = self._start({})
        began, done = self._follow(process, self.rng.uniform(0, LONGEST_S))
        self.counts["kills"] += 1
        self._check(began, done)

    def fail_once(self, library: str, kind: str) -> None:
        """Runs steps until the disk fails after a random number of writes, and checks the collection."""
        fault = {"FAULT_FOLDER": str(self.folder), "FAULT_KIND": kind, "FAULT_AFTER": str(self.rng.randrange(60))}
        process = self._start({"LD_PRELOAD": library, **fault})
        began, done = self._follow(process, 60.0)
        self.counts["faults"] += 1
        if process.returncode != FAILED:
            self.counts["unclear"] += 1
            print(f"a {kind} disk ended in exit status {process.returncode}: {fault}", file=sys.stderr)
        self._check(began, done)

    def _start(self, environment: dict[str, str]) -> subprocess.Popen[str]:
        command = [sys.executable, str(STEPS), str(self.folder), str(self.seed), str(self.n_done)]
        return subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)

    def _follow(self, process: subprocess.Popen[str], at_most_s: float) -> tuple[int, int]:
        """The numbers of begun and of done steps of a process, which is killed `at_most_s` after its first output."""
        began = done = self.n_done
        timer: threading.Timer | None = None
        assert process.stdout is not None
        for line in process.stdout:
            if timer is None:
                timer = threading.Timer(at_most_s, process.kill)
                timer.start()
            if not line.endswith("\n"):  # killed in the middle of the line
                break
            word, number = line.split()[:2]
            if word == "begin":
                began = int(number) + 1
            elif word == "done":
                done = int(number) + 1
        if timer is not None:
            timer.cancel()
        process.wait()
        return began, done

    def _check(self, began: int, done: int) -> None:
        before = self.state
        for number in range(self.n_done, done):
            before = after(make_step(self.seed, number, before), before)
        possible = {done: before}
        if began > done:
            possible[began] = after(make_step(self.seed, done, before), before)
        if not (self.folder / "manifest.json").exists():
            return
        collection = Collection.open(self.folder)
        with collection.store(writable=True) as store:
            stored = {item.document.id: item for _, item in store.everything(0, 1_000_000)}
            documents = {document_id: item.document for document_id, item in stored.items()}
            fits = [n for n, state in possible.items() if state == documents]
            if not fits:
                expected = possible[done]
                self.counts["lost"] += len(expected.keys() - stored.keys())
                self.counts["resurrected"] += len(stored.keys() - expected.keys())
                self.counts["corrupt"] += sum(
                    documents[key] != expected[key] for key in expected.keys() & stored.keys()
                )
                sys.exit(f"after {done} steps of {began} begun: {dict(self.counts)}")
            self.counts["corrupt"] += sum(
                item.vector.tobytes() != vector_of(key).tobytes() for key, item in stored.items()
            )
            self.counts["corrupt"] += store.database.rows("PRAGMA integrity_check") != [("ok",)]
            for modality in MODALITIES:
                index = collection.index(store, modality)
                keys = store.keys(modality)
                self.counts["corrupt"] += len(index) != len(keys)
                if len(keys):
                    ids = [store.by_keys([key])[key].id for key in keys.tolist()]
                    nearest = index.search(np.stack([vector_of(document_id) for document_id in ids]), 1)[1][:, 0]
                    self.counts["corrupt"] += int((nearest != keys).sum())
        self.n_done = max(fits)
        self.state = possible[self.n_done]


if __name__ == "__main__":
    main()
