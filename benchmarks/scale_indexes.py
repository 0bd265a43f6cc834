"""Vectors, and the indexes that benchmarks/scale.py builds and opens: this project's, hnswlib and usearch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common  # noqa: F401  adds the project to the path
import numpy as np

from crossmodal.index.dense import DenseIndex
from crossmodal.index.kinds import BLOCK, CORES, EF_CONSTRUCTION, LINKS, IndexKind

DIM, WAYS, K, N_QUERIES = 512, 64, 10, 500
VECTORS, QUERIES = "vectors.npy", "queries.npy"

Search = Callable[[np.ndarray], np.ndarray]  # (n, DIM) queries to (n, K) rows
Opened = tuple[Search, Callable[[int], None]]  # and what sets the effort of a search


def generate(folder: Path, n: int) -> None:
    """Writes vectors and queries to a folder, unless it has them."""
    if (folder / QUERIES).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(1, n // 200), WAYS), np.float32)
    centres = _unit(centres @ rng.standard_normal((WAYS, DIM), np.float32))
    spectrum = np.arange(1, DIM + 1, dtype=np.float32) ** -0.5
    rotation = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0].astype(np.float32)
    noise = (spectrum / np.linalg.norm(spectrum))[:, None] * rotation  # of length 1, on average
    for name, count in ((VECTORS, n), (QUERIES, N_QUERIES)):
        vectors = np.lib.format.open_memmap(folder / name, "w+", np.float32, (count, DIM))
        for start in range(0, count, BLOCK):
            size = min(BLOCK, count - start)
            centre = centres[rng.integers(0, len(centres), size)]
            vectors[start : start + size] = _unit(centre + rng.standard_normal((size, DIM), np.float32) @ noise)
        vectors.flush()


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def build_ours(name: str, folder: Path, scratch: Path) -> float:
    """Builds and saves an index; returns the seconds that freezing takes."""
    vectors = np.load(folder / VECTORS, mmap_mode="r")
    index = DenseIndex(DIM)
    for start in range(0, len(vectors), BLOCK):
        block = np.asarray(vectors[start : start + BLOCK])
        index.add(np.arange(start, start + len(block)), block)
    start_s = time.perf_counter()
    index = index.frozen(IndexKind.parse(name))
    seconds = time.perf_counter() - start_s
    index.save(scratch, name)
    return seconds


def open_ours(name: str, scratch: Path) -> Opened:
    index = DenseIndex.load(scratch, name, DIM)

    def set_effort(effort: int) -> None:
        if effort:  # 0 is the default effort
            index._frozen.index.hnsw.efSearch = effort

    return lambda queries: index.search(queries, K)[1], set_effort


def build_hnswlib(name: str, folder: Path, scratch: Path) -> float:
    import hnswlib

    vectors = np.load(folder / VECTORS, mmap_mode="r")
    start_s = time.perf_counter()
    index = hnswlib.Index("ip", DIM)
    index.init_index(len(vectors), M=LINKS, ef_construction=EF_CONSTRUCTION)
    index.set_num_threads(CORES)
    for start in range(0, len(vectors), BLOCK):
        block = np.asarray(vectors[start : start + BLOCK])
        index.add_items(block, np.arange(start, start + len(block)))
    seconds = time.perf_counter() - start_s
    index.save_index(str(scratch / name))
    return seconds


def open_hnswlib(name: str, scratch: Path) -> Opened:
    import hnswlib

    index = hnswlib.Index("ip", DIM)
    index.load_index(str(scratch / name))
    return lambda queries: index.knn_query(queries, K, num_threads=min(len(queries), CORES))[0], index.set_ef


def build_usearch(name: str, folder: Path, scratch: Path) -> float:
    from usearch.index import Index

    vectors = np.load(folder / VECTORS, mmap_mode="r")
    start_s = time.perf_counter()
    index = Index(ndim=DIM, metric="ip", dtype="f16", connectivity=LINKS, expansion_add=EF_CONSTRUCTION)
    for start in range(0, len(vectors), BLOCK):
        block = np.asarray(vectors[start : start + BLOCK])
        index.add(np.arange(start, start + len(block)), block, threads=CORES)
    seconds = time.perf_counter() - start_s
    index.save(str(scratch / name))
    return seconds


def open_usearch(name: str, scratch: Path) -> Opened:
    from usearch.index import Index

    index: Any = Index.restore(str(scratch / name))

    def search(queries: np.ndarray) -> np.ndarray:
        return index.search(queries, K, threads=min(len(queries), CORES)).keys.reshape(len(queries), -1)

    return search, lambda effort: setattr(index, "expansion_search", effort)


PEERS = {"hnswlib": (build_hnswlib, open_hnswlib), "usearch": (build_usearch, open_usearch)}
