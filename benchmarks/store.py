"""The store in PostgreSQL beside the store in SQLite: commits, what a follower reads, and conditions.

    python benchmarks/store.py [--documents 20000] [--tags 100000] [--json PATH]

Both stores are on this machine and wait for the disk at each commit; the server is that of the tests with `fsync` on.
A commit has 1,000 captions with a vector of 512 dimensions and tags. A follower reads them all in pages. The condition
is on two tags without an index, and true for 0.4 % of the documents. The stores take turns; the fastest of a few turns
counts, except for commits. Four writers are four connections with commits of 32, as of machines that index together.

Figures: documents/s `ingest_*`, vectors/s `follow_*`, ms `where_*` and `changed_*` (whether there is anything new),
`pg_over_sqlite_ingest`, `pg_over_sqlite_follow`, `pg_over_sqlite_where` (of times), `pg_four_writers_over_one`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from common import ROOT, write_figures

from crossmodal.core.types import Document
from crossmodal.store.postgresql import PostgresqlStore
from crossmodal.store.protocol import Store
from crossmodal.store.records import NewDocument
from crossmodal.store.sqlite import DocumentStore
from crossmodal.store.where import parse

sys.path.insert(0, str(ROOT / "tests"))
from postgresql_server import running_server

DIM, COMMIT, SMALL_COMMIT, WRITERS, TURNS = 512, 1_000, 32, 4, 5
CONDITION = parse("tags.year >= 2000 and tags.place.city = 'city 7'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--tags", type=int, default=100_000, help="documents of the condition")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with running_server(fsync="on", shared_buffers="128MB") as server:
        with (
            tempfile.TemporaryDirectory() as folder,
            DocumentStore(Path(folder), writable=True) as sqlite,
            PostgresqlStore(server.url, "benchmark", writable=True) as postgresql,
        ):
            figures = compare({"sqlite": sqlite, "pg": postgresql}, arguments.documents, arguments.tags)
        figures["pg_four_writers_over_one"] = many_writers(server.url) / many_writers(server.url, 1)
    for name in ("ingest", "follow", "where"):
        figures[f"pg_over_sqlite_{name}"] = figures[f"{name}_pg"] / figures[f"{name}_sqlite"]
    write_figures(arguments.json, figures)


def compare(stores: dict[str, Store], n_documents: int, n_tags: int) -> dict[str, float]:
    figures = {}
    vectors = np.random.default_rng(0).standard_normal((COMMIT, DIM), np.float32)
    for start in range(0, n_documents, COMMIT):
        items = items_of(start, vectors)
        for name, store in stores.items():
            figures[f"ingest_{name}"] = figures.get(f"ingest_{name}", 0) + seconds(store.put, items)
    for name in stores:
        figures[f"ingest_{name}"] = n_documents / figures[f"ingest_{name}"]
    for name, took in fastest(stores, follow).items():
        figures[f"follow_{name}"] = n_documents / took
    for start in range(n_documents, n_tags, COMMIT):
        items = items_of(start, vectors[:, :1])
        for store in stores.values():
            store.put(items)
    found = {name: store.keys_where(CONDITION, "text").tolist() for name, store in stores.items()}
    assert found["pg"] == found["sqlite"]
    for name, took in fastest(stores, lambda store: store.keys_where(CONDITION, "text")).items():
        figures[f"where_{name}"] = took * 1e3
    for name, took in fastest(stores, lambda store: [store.data_version() for _ in range(100)]).items():
        figures[f"changed_{name}"] = took * 10
    return figures


def items_of(start: int, vectors: np.ndarray) -> list[NewDocument]:
    """A commit of captions, with vectors that are not of length 1, which no store minds."""
    made = []
    for n, vector in enumerate(vectors, start):
        tags = {"year": 1900 + n % 127, "place": {"city": f"city {n % 50}"}, "filename": f"{n}.jpg", "split": "train"}
        text = f"caption {n} of a picture with a sentence of the usual length"
        made.append(NewDocument(Document(f"{n:064x}", "text", f"/pictures/{n}.jpg", text=text, tags=tags), vector))
    return made


def follow(store: Store) -> None:
    seq = 0
    while not (changes := store.changes_after("text", seq)).is_all:  # type: ignore[union-attr]
        seq = changes.last_seq  # type: ignore[union-attr]


def many_writers(url: str, n: int = WRITERS, commits: int = 100) -> float:
    """Commits per second of n writers with a connection each."""
    vectors = np.ones((SMALL_COMMIT, DIM), np.float32)

    def write(writer: int) -> None:
        with PostgresqlStore(url, f"{n} writers", writable=True) as store:
            for commit in range(commits):
                store.put(items_of((writer * commits + commit) * SMALL_COMMIT, vectors))

    with ThreadPoolExecutor(n) as threads:
        return n * commits / seconds(lambda: list(threads.map(write, range(n))))


def fastest(stores: dict[str, Store], job: Callable[[Store], object]) -> dict[str, float]:
    """The seconds of the fastest of a few turns of each store."""
    turns = [{name: seconds(job, store) for name, store in stores.items()} for _ in range(TURNS)]
    return {name: min(turn[name] for turn in turns) for name in stores}


def seconds(job: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    job(*arguments)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
