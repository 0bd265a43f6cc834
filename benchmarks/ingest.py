"""Rate and memory of adding ready vectors to a collection, against a plain file; and of removing half of them.

    python benchmarks/ingest.py [--n 1000000] [--deletes 100000] [--json PATH]

Ingest: `n` captions, each with a unit vector of 512 numbers, tags and an id, in transactions of `BATCH`; building the
index is not included. Prints the rate and the process's memory after every 100,000, and `plain_file_over_ingest`, the
ratio to the time for writing and syncing the same vectors to one plain file on the same file system.

Deletes: removes half of `--deletes` documents and compacts the collection as `-t compact` does. `kept_bytes` is the
size of store and index afterwards, relative to before; `kept_memory` likewise the memory of a process that opens and
queries the index; `recall_at_10` compares that index with exact search; `came_back` counts removed documents
that any search or look-up still finds.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import in_own_process, memory_mb, write_figures

from crossmodal.collection.collection import Collection
from crossmodal.core.types import Document, ModelSpec, Preprocessing
from crossmodal.store.sqlite import DocumentStore, NewDocument

DIM, BATCH, BLOCK, K = 512, 10_000, 100_000, 10
MODEL = ModelSpec("clip", "generated", "0" * 12, DIM, Preprocessing(224))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--deletes", type=int, default=100_000)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        figures = in_own_process(ingest, Path(scratch) / "ingest", arguments.n) if arguments.n else {}
        if arguments.deletes:
            figures |= deletes(Path(scratch) / "deletes", arguments.deletes)
    write_figures(arguments.json, figures)


def ingest(root: Path, n: int) -> dict[str, float]:
    """Figures of committing `n` documents."""
    resident, took = [], 0.0
    with Collection.create(root, MODEL).store(writable=True) as store:
        for done, items in enumerate(batches(n), 1):
            start = time.perf_counter()
            store.put(items)
            took += time.perf_counter() - start
            if done * BATCH % BLOCK == 0 or done * BATCH >= n:
                resident.append(memory_mb()[0])
                print(
                    f"{done * BATCH:>9,} documents, {done * BATCH / took:>7,.0f}/s, {resident[-1]:,.0f} MB", flush=True
                )
    start = time.perf_counter()
    with (root / "plain").open("wb") as file:
        for first in range(0, n, BATCH):
            file.write(np.zeros((min(BATCH, n - first), DIM), np.float32).tobytes())
        file.flush()
        os.fsync(file.fileno())
    plain_s = time.perf_counter() - start
    return {
        "ingest_per_s": n / took,
        "plain_file_over_ingest": took / plain_s,
        "memory_growth_mb": resident[-1] - resident[0],
    }


def deletes(root: Path, n: int) -> dict[str, float]:
    """Figures of removing every second of `n` documents and compacting."""
    collection = Collection.create(root, MODEL)
    with collection.store(writable=True) as store:
        for items in batches(n):
            store.put(items)
        collection.index(store, "text").snapshot()
    before = in_own_process(opened, root)
    removed = [name_of(i) for i in range(0, n, 2)]
    with collection.store(writable=True) as store:
        store.remove(removed)
        collection.index(store, "text").compact()
        store.compact()
    after = in_own_process(opened, root)
    with collection.store() as store:
        came_back = len(store.known(removed))
    return {
        "kept_bytes": after["bytes"] / before["bytes"],
        "kept_memory": after["memory_mb"] / before["memory_mb"],
        "recall_at_10": after["recall"],
        "came_back": came_back + after["gone_found"],
    }


def opened(root: Path) -> dict[str, float]:
    """Size, memory, recall, and hits of removed documents, of the opened index."""
    collection = Collection.open(root)
    empty, _ = memory_mb()
    with collection.store() as store:
        index = collection.index(store, "text")
        index.refresh()
        keys = store.keys("text")
        queries = next(vectors(200, seed=9))
        _, keys_found = index.search(queries, K)
        resident, _ = memory_mb()
        exact_keys = exact(store, queries)
        is_stored = np.isin(keys_found, keys)
        recalls = [np.isin(expected, actual).mean() for expected, actual in zip(exact_keys, keys_found, strict=True)]
        figures = {
            "bytes": float(store.size_bytes() + sum(f.stat().st_size for f in (collection.folder / "index").glob("*"))),
            "memory_mb": resident - empty,
            "recall": float(np.mean(recalls)),
            "gone_found": float((~is_stored).sum()),
        }
    return figures


def exact(store: DocumentStore, queries: np.ndarray) -> np.ndarray:
    """The keys of the K best vectors in the store, best first: (n, K)."""
    scores, keys = np.full((len(queries), K), -2.0, np.float32), np.full((len(queries), K), -1)
    seq = forgotten = 0
    while (changes := store.changes_after("text", seq, forgotten=forgotten)) is not None and len(changes.added):
        seq, forgotten = changes.last_seq, changes.forgotten
        scores = np.hstack([scores, queries @ changes.vectors.T])
        keys = np.hstack([keys, np.broadcast_to(changes.added, (len(queries), len(changes.added)))])
        best = np.argsort(-scores, axis=1)[:, :K]
        scores, keys = np.take_along_axis(scores, best, 1), np.take_along_axis(keys, best, 1)
    return keys


def name_of(i: int) -> str:
    """An id of 32 hexadecimal digits; successive ids are unordered, like captions' ids."""
    return hashlib.sha256(str(i).encode()).hexdigest()[:32]


def batches(n: int) -> Iterator[list[NewDocument]]:
    """`n` documents in lists of `BATCH`."""
    generated = vectors(BATCH, seed=0)
    for first in range(0, n, BATCH):
        made = next(generated)
        yield [
            NewDocument(
                Document(
                    name_of(i), "text", text=f"what is said of picture {i}", image_id=name_of(i // 5),
                    tags={"album": f"album {i % 97}", "year": 1990 + i % 30},
                ),
                made[i - first],
            )
            for i in range(first, min(n, first + BATCH))
        ]  # fmt: skip


def vectors(n: int, seed: int) -> Iterator[np.ndarray]:
    """An endless series of (n, DIM) unit vectors around 500 centres that don't depend on the seed."""
    centres = np.random.default_rng(0).standard_normal((500, DIM), np.float32)
    rng = np.random.default_rng(seed)
    while True:
        made = centres[rng.integers(0, len(centres), n)] + rng.standard_normal((n, DIM), np.float32)
        yield made / np.linalg.norm(made, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
