"""Speed and recall of the inverted index of learned sparse vectors, against scipy's product and flat dense search.

    python benchmarks/sparse.py [--n 1000000] [--queries 500] [--json PATH]

Generated pictures have 64 of 20,000 words each, drawn independently with a Zipf-Mandelbrot distribution: the most
frequent word is in nine of ten pictures, 74 words are in one of ten or more, half of the words in less than one of a
thousand. Queries have 6 words of the same distribution and read about as many postings as there are pictures.

`flat` is FAISS's `IndexFlatIP` over as many unit vectors of 512 dimensions. All methods run with one thread and one
query at a time, and alternate, since the machine's speed varies. QPS is 1 / the mean time; `_cpu_` is processor time.
Recall is against scipy's product. `changed` is the index with one hundredth of its pictures removed and as many added,
before compaction.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable

import faiss
import numpy as np
from common import PeakMemory, write_figures
from scipy.sparse import csr_matrix

from crossmodal.lexical.inverted import SparseIndex

N_TERMS, ACTIVE, QUERY_TERMS, DIM, K = 20_000, 64, 6, 512, 10
SHIFT = 3.2
CHUNK = 20_000
ROUNDS = 10
SLOW_SHARE = 0.06  # share of the queries that the two exhaustive methods run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with PeakMemory() as memory:
        figures = measure(arguments.n, arguments.queries)
    write_figures(arguments.json, {**figures, "peak_memory_gb": memory.peak_bytes / 1e9})


def words(rng: np.random.Generator, n: int, active: int) -> csr_matrix:
    """(n, N_TERMS): each row has `active` different words, drawn by their frequencies."""
    rows = []
    for start in range(0, n, CHUNK):
        size = min(CHUNK, n - start), max(active * 5 // 2, 32)
        # The frequency of rank r is proportional to 1 / (r + SHIFT).
        drawn = (SHIFT * (1 + N_TERMS / SHIFT) ** rng.random(size, np.float32) - SHIFT).astype(np.int16)
        drawn = np.minimum(drawn, N_TERMS - 1)
        order = np.argsort(drawn, axis=1, kind="stable")
        ordered = np.take_along_axis(drawn, order, axis=1)
        is_new = np.empty_like(drawn, np.bool_)
        np.put_along_axis(is_new, order, np.diff(ordered, axis=1, prepend=-1) > 0, axis=1)
        taken = is_new & (np.cumsum(is_new, axis=1) <= active)
        rows.append(np.sort(np.where(taken, drawn, N_TERMS), axis=1)[:, :active])
    terms = np.concatenate(rows).astype(np.int32)
    if terms.max() == N_TERMS:
        raise SystemExit("a picture has too few words: draw more")
    weights = rng.gamma(2, 0.5, terms.shape).astype(np.float32) + np.float32(1e-3)
    return csr_matrix((weights.ravel(), terms.ravel(), np.arange(n + 1) * active), shape=(n, N_TERMS))


def flat_index(rng: np.random.Generator, n: int) -> faiss.IndexFlatIP:
    """FAISS's flat index of n generated unit vectors."""
    flat = faiss.IndexFlatIP(DIM)
    for start in range(0, n, CHUNK):
        flat.add(unit(rng, min(CHUNK, n - start)))
    return flat


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    rows = rng.standard_normal((n, DIM), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def plain(pictures: csr_matrix, query: csr_matrix) -> np.ndarray:
    """The query's best rows by scipy's product with the whole matrix."""
    scores = pictures @ query.toarray()[0]
    best = np.argpartition(scores, len(scores) - K)[len(scores) - K :]
    return best[np.lexsort((best, -scores[best]))]


def measure(n: int, n_queries: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    pictures, queries = words(rng, n, ACTIVE), words(rng, n_queries, QUERY_TERMS)
    queries.data[:] = 1
    dense_queries = unit(rng, n_queries)
    start = time.perf_counter()
    whole = SparseIndex(N_TERMS)
    whole.add(np.arange(n), pictures)
    index = whole.compacted()
    build_s = time.perf_counter() - start
    del whole
    flat = flat_index(rng, n)
    postings, _ = index.parts()
    stored_bytes = sum(array.nbytes for array in (postings.starts, postings.rows, postings.weights))

    timer, best_keys = Timer(), []
    index.search(queries[0], K, scoring="activation-idf")  # the first call reads all postings
    index.search(queries[0], K, scoring="tf-idf")
    for part in np.array_split(np.arange(n_queries), ROUNDS):
        for i in part:
            _, keys = timer("sparse", index.search, queries[i], K)
            timer("activation_idf", index.search, queries[i], K, None, "activation-idf")
            timer("tf_idf", index.search, queries[i], K, None, "tf-idf")
            best_keys.append(keys[0])
        for i in part[: max(1, int(len(part) * SLOW_SHARE))]:
            timer("flat", flat.search, dense_queries[i : i + 1], K)
            expected = timer("scipy", plain, pictures, queries[i])
            timer.recall.append(len(np.intersect1d(best_keys[i], expected)) / K)
    change(rng, index)
    for query in queries:
        timer("changed", index.search, query, K)
    return {
        "n": n,
        "qps": timer.qps("sparse"),
        "p50_ms": timer.ms("sparse", 50),
        "p99_ms": timer.ms("sparse", 99),
        "p50_cpu_ms": timer.ms("sparse_cpu", 50),
        "p99_cpu_ms": timer.ms("sparse_cpu", 99),
        "flat_qps": timer.qps("flat"),
        "flat_p50_ms": timer.ms("flat", 50),
        "flat_p99_ms": timer.ms("flat", 99),
        "flat_p50_cpu_ms": timer.ms("flat_cpu", 50),
        "scipy_qps": timer.qps("scipy"),
        "scipy_p50_ms": timer.ms("scipy", 50),
        "qps_over_flat": timer.qps("sparse") / timer.qps("flat"),
        "qps_over_scipy": timer.qps("sparse") / timer.qps("scipy"),
        "cpu_over_flat": timer.qps("sparse_cpu") / timer.qps("flat_cpu"),
        "recall_at_10": float(np.mean(timer.recall)),
        "activation_idf_p50_ms": timer.ms("activation_idf", 50),
        "tf_idf_p50_ms": timer.ms("tf_idf", 50),
        "changed_p50_ms": timer.ms("changed", 50),
        "postings_per_query": float(np.diff(postings.starts)[queries.indices].sum() / n_queries),
        "bytes_per_posting": stored_bytes / len(postings.rows),
        "build_s": build_s,
    }


def change(rng: np.random.Generator, index: SparseIndex) -> None:
    """Removes a hundredth of the pictures and adds as many."""
    n = len(index) // 100
    index.remove(rng.choice(len(index), n, replace=False))
    index.add(len(index) + n + np.arange(n), words(rng, n, ACTIVE))
    index.parts()


class Timer:
    """Seconds of calls by name, and processor seconds under `NAME_cpu`."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.recall: list[float] = []

    def __call__(self, name: str, job: Callable[..., object], *args: object):
        """The result of a job, whose times are recorded."""
        start, cpu_start = time.perf_counter(), time.thread_time()
        result = job(*args)
        self.seconds[f"{name}_cpu"].append(time.thread_time() - cpu_start)
        self.seconds[name].append(time.perf_counter() - start)
        return result

    def ms(self, name: str, percentile: float) -> float:
        """A percentile of the times, in milliseconds."""
        return float(np.percentile(self.seconds[name], percentile) * 1e3)

    def qps(self, name: str) -> float:
        """Calls a second: 1 / the mean time."""
        return float(1 / np.mean(self.seconds[name]))


if __name__ == "__main__":
    main()
