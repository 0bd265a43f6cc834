"""Kills a writer at random moments, fails its disk, and compares what is found with what was acknowledged.

    python benchmarks/crash.py [--kills 200] [--faults 50] [--seed 0] [--json PATH]

A process (crash_steps.py) adds, updates and removes documents, writes snapshots, compacts and rebuilds. It is
killed with SIGKILL after a random time; the collection is opened as after a crash, and its store and indexes
are compared with the steps that the process had said to be done. The step in between may be there or not, but
whole. Then it goes on from there. The faults are writes that find the disk full and fsyncs that fail, from a
random call on, by a preloaded library (faults.c, needs a C compiler).

Figures: `kills`, `lost` (acknowledged, and not there), `resurrected` (there, and acknowledged as removed),
`corrupt` (there, but not as it was written, or not found by the index), `faults`, `unclear` (faults that did
not end in a clear error).
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
    found: Counter[str] = Counter(kills=0, faults=0, unclear=0, lost=0, resurrected=0, corrupt=0)
    with tempfile.TemporaryDirectory() as place:
        history = History(Path(place) / "collection", arguments.seed, Random(arguments.seed), found)
        for _ in range(arguments.kills):
            history.kill_once()
        library = compile_faults(Path(place)) if arguments.faults else ""
        for number in range(arguments.faults):
            history.fail_once(library, ("full", "fsync")[number % 2])
        print(f"{history.n_done} steps, {len(history.state)} documents in the end")
    write_figures(arguments.json, dict(found))
    sys.exit(1 if any(found[name] for name in ("lost", "resurrected", "corrupt", "unclear")) else 0)


def compile_faults(folder: Path) -> str:
    """Builds the library that fails a disk."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit("no C compiler: install one, or leave the faults out with --faults 0")
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-w", "-o", library, source, "-ldl"], check=True)
    return str(library)


@dataclass
class History:
    """A collection, and what must be in it."""

    folder: Path
    seed: int
    rng: Random
    found: Counter[str]

    def __post_init__(self) -> None:
        self.state: State = {}
        self.n_done = 0

    def kill_once(self) -> None:
        """Lets the steps go on for a random time, kills them, and looks."""
        process = self._start({})
        began, done = self._listen(process, self.rng.uniform(0, LONGEST_S))
        self.found["kills"] += 1
        self._look(began, done)

    def fail_once(self, library: str, kind: str) -> None:
        """Lets the disk fail after a random number of writes, and looks."""
        fault = {"FAULT_FOLDER": str(self.folder), "FAULT_KIND": kind, "FAULT_AFTER": str(self.rng.randrange(60))}
        process = self._start({"LD_PRELOAD": library, **fault})
        began, done = self._listen(process, 60.0)
        self.found["faults"] += 1
        if process.returncode != FAILED:
            self.found["unclear"] += 1
            print(f"a {kind} disk ended in exit status {process.returncode}: {fault}", file=sys.stderr)
        self._look(began, done)

    def _start(self, environment: dict[str, str]) -> subprocess.Popen[str]:
        command = [sys.executable, str(STEPS), str(self.folder), str(self.seed), str(self.n_done)]
        return subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)

    def _listen(self, process: subprocess.Popen[str], at_most_s: float) -> tuple[int, int]:
        """Reads what the process says; kills it so long after its first step began. How many began, were done."""
        began = done = self.n_done
        timer: threading.Timer | None = None
        assert process.stdout is not None
        for line in process.stdout:
            if timer is None:
                timer = threading.Timer(at_most_s, process.kill)
                timer.start()
            if not line.endswith("\n"):  # killed in the middle of it: not said
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

    def _look(self, began: int, done: int) -> None:
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
            there = {item.document.id: item for _, item in store.everything(0, 1_000_000)}
            documents = {own: item.document for own, item in there.items()}
            fits = [n for n, state in possible.items() if state == documents]
            if not fits:
                wanted = possible[done]
                self.found["lost"] += len(wanted.keys() - there.keys())
                self.found["resurrected"] += len(there.keys() - wanted.keys())
                self.found["corrupt"] += sum(documents[own] != wanted[own] for own in wanted.keys() & there.keys())
                sys.exit(f"after {done} steps of {began} begun: {dict(self.found)}")
            self.found["corrupt"] += sum(
                item.vector.tobytes() != vector_of(own).tobytes() for own, item in there.items()
            )
            self.found["corrupt"] += store.database.rows("PRAGMA integrity_check") != [("ok",)]
            for modality in MODALITIES:
                index = collection.index(store, modality)
                keys = store.keys(modality)
                self.found["corrupt"] += len(index) != len(keys)
                if len(keys):
                    ids = [store.by_keys([key])[key].id for key in keys.tolist()]
                    nearest = index.search(np.stack([vector_of(own) for own in ids]), 1)[1][:, 0]
                    self.found["corrupt"] += int((nearest != keys).sum())
        self.n_done = max(fits)
        self.state = possible[self.n_done]


if __name__ == "__main__":
    main()
