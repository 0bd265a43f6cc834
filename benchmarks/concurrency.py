"""Eight readers and a writer on one collection: errors, torn results, and how long a read takes.

    python benchmarks/concurrency.py [--seconds 60] [--readers 8] [--rate 10] [--json PATH]

The collection is as `-t index` leaves it, with its snapshot: 20,000 pictures, the most that `auto` compares one by one,
of the bundled model's dim. The writer adds four pictures with two captions each, in one transaction, changes four to
a new number together, and removes four, without end: several times what an encoder can deliver. Each reader is a
process that follows the store, and `--rate` times a second searches for a picture, looks up what it found, and reads
the captions of the best. A read is torn if a picture of the answer has other than two captions, or captions with
another number than its own, both in one transaction. `idle_p50_ms` is of one reader before the writer begins.

Figures: `reads, errors, torn, writes, idle_p50_ms, p50_ms, p99_ms, p99_over_idle_p50`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
import traceback
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
from common import write_figures

from crossmodal.collection.collection import Collection
from crossmodal.core.types import Document, ModelSpec, Preprocessing
from crossmodal.store.sqlite import NewDocument

DIM, N_AT_FIRST, BATCH = 512, 20_000, 4
MODEL = ModelSpec("clip", "concurrency", "0" * 40, DIM, Preprocessing(8))
Times = list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--rate", type=float, default=10, help="reads a second of each reader")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "collection"
        with Collection.create(folder, MODEL).store(writable=True) as store:
            for start in range(0, N_AT_FIRST, 1000):
                store.put([item for n in range(start, start + 1000) for item in with_captions(n, 0)])
            Collection.open(folder).index(store, "image").snapshot()
        idle = run(context, folder, 1, arguments.seconds / 6, arguments.rate, writes=False)
        busy = run(context, folder, arguments.readers, arguments.seconds, arguments.rate, writes=True)
    p50, p99 = np.percentile(busy["times"], [50, 99])
    idle_p50 = float(np.percentile(idle["times"], 50))
    write_figures(
        arguments.json,
        {
            "reads": len(busy["times"]),
            "errors": busy["errors"],
            "torn": busy["torn"],
            "writes": busy["writes"],
            "idle_p50_ms": idle_p50,
            "p50_ms": float(p50),
            "p99_ms": float(p99),
            "p99_over_idle_p50": float(p99) / idle_p50,
        },
    )


def with_captions(n: int, number: int) -> list[NewDocument]:
    """Picture n and its two captions, all with the same number."""
    rng = np.random.default_rng(n)
    names = [(f"p{n}", "image", ""), (f"t{n}a", "text", f"p{n}"), (f"t{n}b", "text", f"p{n}")]
    made = []
    for name, modality, image in names:
        vector = rng.standard_normal(DIM).astype(np.float32)
        tags = {"number": number}
        document = Document(name, modality, text=name, image_id=image, tags=tags)  # type: ignore[arg-type]
        made.append(NewDocument(document, vector / np.linalg.norm(vector)))
    return made


def run(context: Any, folder: Path, n_readers: int, seconds: float, rate: float, *, writes: bool) -> dict[str, Any]:
    """Lets readers, and the writer, work for so long; what they found, together."""
    told: Queue[tuple[str, Any]] = context.Queue()
    until = time.time() + seconds + 3
    workers = [context.Process(target=read, args=(folder, seed, until, rate, told)) for seed in range(n_readers)]
    workers += [context.Process(target=write, args=(folder, until, told))] * writes
    for worker in workers:
        worker.start()
    found: dict[str, Any] = {"times": [], "errors": 0, "torn": 0, "writes": 0}
    for _ in workers:
        kind, value = told.get(timeout=seconds + 60)
        if kind == "read":
            found["times"] += value[0]
            found["torn"] += value[1]
        elif kind == "write":
            found["writes"] += value
        else:
            found["errors"] += 1
            print(value)
    for worker in workers:
        worker.join()
    return found


def read(folder: Path, seed: int, until: float, rate: float, told: Queue[tuple[str, Any]]) -> None:
    """Searches and looks up until the time is over; tells how long each took, in ms, and how many were torn."""
    try:
        rng, times, n_torn = np.random.default_rng(seed), [], 0
        collection = Collection.open(folder)
        with collection.store() as store:
            index = collection.index(store, "image")
            while time.time() < until:
                query = rng.standard_normal((1, DIM)).astype(np.float32)
                began = time.perf_counter()
                _, keys = index.search(query / np.linalg.norm(query), 10)
                found = store.by_keys(keys[0].tolist())
                best = next((found[key] for key in keys[0].tolist() if key in found), None)
                with store.database.reading():
                    picture = store.document(best.id) if best else None
                    captions = store.captions_of(best.id) if best else []
                times.append((time.perf_counter() - began) * 1e3)
                if picture is None:
                    n_torn += bool(captions)
                else:
                    numbers = {document.tags["number"] for document in (picture, *captions)}
                    n_torn += len(captions) != 2 or len(numbers) != 1
                time.sleep(max(0.0, 1 / rate - (time.perf_counter() - began)))
        told.put(("read", (times, n_torn)))
    except Exception:  # noqa: BLE001  whatever it is, it is counted and shown
        told.put(("error", traceback.format_exc()))


def write(folder: Path, until: float, told: Queue[tuple[str, Any]]) -> None:
    """Adds, changes and removes until the time is over; tells how many transactions."""
    try:
        n_writes, n, rng = 0, N_AT_FIRST, np.random.default_rng(1)
        with Collection.open(folder).store(writable=True) as store:
            while time.time() < until:
                store.put([item for m in range(n, n + BATCH) for item in with_captions(m, 0)])
                n += BATCH
                some = [int(m) for m in rng.integers(0, n, BATCH)]
                ids = [name for m in some for name in (f"p{m}", f"t{m}a", f"t{m}b")]
                store.update([(own, {"number": n}) for own in ids])
                store.remove([f"p{int(m)}" for m in rng.integers(0, n, BATCH)])
                n_writes += 3
                time.sleep(0.02)
        told.put(("write", n_writes))
    except Exception:  # noqa: BLE001  whatever it is, it is counted and shown
        told.put(("error", traceback.format_exc()))


if __name__ == "__main__":
    main()
