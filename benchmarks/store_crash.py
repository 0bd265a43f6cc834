"""A PostgreSQL server that is killed again and again while two processes write and two search.

    python benchmarks/store_crash.py [--kills 50] [--seed 0] [--json PATH]

The main process of the server is killed with SIGKILL after a random time, and started again. The writers
(store_crash_steps.py) log each acknowledged change with fsync, and repeat one that failed. The nodes search for the
newest acknowledged document. In the end, the store and the index of each node are compared with the logs. The server
is that of the tests, which does not wait for the disk: a killed process loses nothing that it wrote.

Figures: `kills`; `lost` (acknowledged, but missing in the store or in an index, or not found at once by a node);
`resurrected` (present, but acknowledged as removed); `corrupt` (present, but different from what was written);
`recovery_s` (the longest time from a kill until both nodes have answered and both writers have committed again),
of which `restart_s` is the longest restart of the server; `documents` in the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random

from common import ROOT, write_figures
from crash_steps import MODEL, vector_of
from store_crash_steps import NAME, expected_documents, thumbnail_of

from crossmodal.collection.collection import Collection
from crossmodal.collection.linked_workspace import link_workspace
from crossmodal.store.protocol import Store

sys.path.insert(0, str(ROOT / "tests"))
from postgresql_server import PostgresqlServer, running_server

STEPS = Path(__file__).with_name("store_crash_steps.py")
LONGEST_S = 0.5
GIVEN_UP_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with running_server() as server, tempfile.TemporaryDirectory() as folder:
        figures = crash(server, Path(folder), arguments.kills, Random(arguments.seed))
    write_figures(arguments.json, figures)
    sys.exit(1 if any(figures[name] for name in ("lost", "resurrected", "corrupt")) else 0)


class Process:
    """A writer or a node, which prints when it began what has just succeeded."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [sys.executable, str(STEPS), *map(str, arguments)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.counts: dict[str, int] = {}
        self._began_s = self._ended_s = 0.0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self.counts = json.loads(line)
            else:
                self._ended_s = time.monotonic()
                self._began_s = float(line)

    def wait_for_success(self, after_s: float) -> float:
        """The time of the first success that began after a time."""
        deadline = time.monotonic() + GIVEN_UP_S
        while self._began_s < after_s:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                sys.exit(f"{self._process.args} has ended, or does nothing for {GIVEN_UP_S} s")
            time.sleep(0.005)
        return self._ended_s

    def finish(self) -> None:
        """Asks the process to end, and waits for it."""
        self._process.terminate()
        self._reader.join()
        if self._process.wait():
            sys.exit(f"{self._process.args} ended with exit status {self._process.returncode}")


def crash(server: PostgresqlServer, folder: Path, kills: int, rng: Random) -> dict[str, float]:
    for node in ("first", "second"):
        link_workspace(folder / node, server.url)
        collection = Collection.create(folder / node / NAME, MODEL)
    logs = [folder / "log-0", folder / "log-1"]
    writers = [Process("write", collection.root, log, str(number)) for number, log in enumerate(logs)]
    for writer in writers:
        writer.wait_for_success(0.001)
    nodes = [Process("search", folder / node / NAME, *logs) for node in ("first", "second")]
    for node in nodes:
        node.wait_for_success(0.001)
    restart_s = recovery_s = 0.0
    for _ in range(kills):
        time.sleep(rng.uniform(0, LONGEST_S))
        killed_s = time.monotonic()
        server.kill()
        server.start()
        ready_s = time.monotonic()
        recovered_s = max(process.wait_for_success(ready_s) for process in (*nodes, *writers))
        restart_s = max(restart_s, ready_s - killed_s)
        recovery_s = max(recovery_s, recovered_s - killed_s)
    for process in (*writers, *nodes):  # the nodes last: they compare their indexes with the store
        process.finish()
    counts = Counter({"lost": 0, "resurrected": 0, "corrupt": 0})
    for process in nodes:
        counts.update(process.counts)
    with collection.store(writable=True) as store:
        counts.update(check(store, logs))
        times = {"recovery_s": recovery_s, "restart_s": restart_s}
        return {"kills": kills, **counts, **times, "documents": sum(store.counts().values())}


def check(store: Store, logs: list[Path]) -> Counter[str]:
    """Compares the store with the acknowledged changes."""
    expected = {document.id: document for log in logs for document in expected_documents(log)}
    stored = {item.document.id: item for _, item in store.everything(0, 10_000_000)}
    return Counter(
        lost=len(expected.keys() - stored.keys()),
        resurrected=len(stored.keys() - expected.keys()),
        corrupt=len(list(store.problems()))
        + sum(
            item.document != expected[name]
            or item.vector.tobytes() != vector_of(name).tobytes()
            or item.thumbnail != thumbnail_of(name)
            for name, item in stored.items()
            if name in expected
        ),
    )


if __name__ == "__main__":
    main()
