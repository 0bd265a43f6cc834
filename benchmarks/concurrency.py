"""Read latency of eight readers beside a writer on one collection, against one reader without it; errors; torn reads.

    python benchmarks/concurrency.py [--seconds 60] [--readers 8] [--rate 10] [--json PATH]

The collection has its snapshot, as after `-t index`, and 20,000 pictures of the bundled model's dim, the most for which
`auto` chooses the flat index. The writer repeats: add four pictures with two captions each in one transaction, set the
number of four pictures and their captions together, and remove four. That is several times an encoder's rate. Each
reader is a process that follows the store; `--rate` times a second it searches for a picture, looks up the results, and
reads the captions of the best. A read is torn if, within one transaction, the picture does not have exactly two
captions, or a caption has another number than the picture. `idle_p50_ms` is of one reader before the writer starts.

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
    """Runs readers, and the writer if `writes`, for a number of seconds; returns their combined results."""
    results: Queue[tuple[str, Any]] = context.Queue()
    until = time.time() + seconds + 3
    workers = [context.Process(target=read, args=(folder, seed, until, rate, results)) for seed in range(n_readers)]
    workers += [context.Process(target=write, args=(folder, until, results))] * writes
    for worker in workers:
        worker.start()
    total: dict[str, Any] = {"times": [], "errors": 0, "torn": 0, "writes": 0}
    for _ in workers:
        kind, value = results.get(timeout=seconds + 60)
        if kind == "read":
            total["times"] += value[0]
            total["torn"] += value[1]
        elif kind == "write":
            total["writes"] += value
        else:
            total["errors"] += 1
            print(value)
    for worker in workers:
        worker.join()
    return total


def read(folder: Path, seed: int, until: float, rate: float, results: Queue[tuple[str, Any]]) -> None:
    """Searches and looks up until a time; reports the milliseconds of each read and the number of torn reads."""
    try:
        rng, times, n_torn = np.random.default_rng(seed), [], 0
        collection = Collection.open(folder)
        with collection.store() as store:
            index = collection.index(store, "image")
            while time.time() < until:
                query = rng.standard_normal((1, DIM)).astype(np.float32)
                began = time.perf_counter()
                _, keys = index.search(query / np.linalg.norm(query), 10)
                documents = store.by_keys(keys[0].tolist())
                best = next((documents[key] for key in keys[0].tolist() if key in documents), None)
                with store.database.reading():
                    picture = store.document(best.id) if best else None
                    captions = store.captions_of([best.id]).get(best.id, []) if best else []
                times.append((time.perf_counter() - began) * 1e3)
                if picture is None:
                    n_torn += bool(captions)
                else:
                    numbers = {document.tags["number"] for document in (picture, *captions)}
                    n_torn += len(captions) != 2 or len(numbers) != 1
                time.sleep(max(0.0, 1 / rate - (time.perf_counter() - began)))
        results.put(("read", (times, n_torn)))
    except Exception:  # noqa: BLE001  counted and printed by the parent
        results.put(("error", traceback.format_exc()))


def write(folder: Path, until: float, results: Queue[tuple[str, Any]]) -> None:
    """Adds, changes and removes documents until a time; reports the number of transactions."""
    try:
        n_writes, n, rng = 0, N_AT_FIRST, np.random.default_rng(1)
        with Collection.open(folder).store(writable=True) as store:
            while time.time() < until:
                store.put([item for m in range(n, n + BATCH) for item in with_captions(m, 0)])
                n += BATCH
                numbers = [int(m) for m in rng.integers(0, n, BATCH)]
                ids = [name for m in numbers for name in (f"p{m}", f"t{m}a", f"t{m}b")]
                store.update([(document_id, {"number": n}) for document_id in ids])
                store.remove([f"p{int(m)}" for m in rng.integers(0, n, BATCH)])
                n_writes += 3
                time.sleep(0.02)
        results.put(("write", n_writes))
    except Exception:  # noqa: BLE001  counted and printed by the parent
        results.put(("error", traceback.format_exc()))


if __name__ == "__main__":
    main()
