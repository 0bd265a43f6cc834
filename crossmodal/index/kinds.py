"""The kinds of vector index there are: how FAISS builds, searches, reads and extends each.

A kind is a structure, which says how neighbours are found, and a storage, which says what of a vector the
structure keeps. Vectors have length 1, so the inner product is the cosine. Ids are row numbers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.core.types import Vectors
from crossmodal.index.flat import FEW_QUERIES, FlatIndex, Rows

_faiss: Any = faiss  # its type stubs know a part of it

# More queries than this against a flat index go through one matrix product: measured 8 times faster for 64.
# The default differs between builds of FAISS (128,000 in 1.15.1).
faiss.cvar.distance_compute_blas_threshold = FEW_QUERIES

Structure = Literal["flat", "hnsw", "ivf"]
Storage = Literal["fp32", "fp16", "sq8", "pq"]

CORES = len(os.sched_getaffinity(0))
BLOCK = 65_536  # vectors handed to FAISS at a time
LEAST_TO_TRAIN = 1_000  # vectors; with fewer, centroids and code books can't be learnt (PQ needs 256)
GROWTH_UNTIL_RETRAINED = 4

LINKS = 32  # of a node of the HNSW graph, on upper levels; 64 on the lowest
EF_CONSTRUCTION = 64
EF_SEARCH = 128
LISTS_PROBED = 32
ROWS_PROBED = 16  # at least so many for every candidate wanted
KMEANS_ROUNDS = 8
POINTS_PER_LIST, POINTS_FOR_CODES = 40, 65_536
CANDIDATES = {"fp32": (1, 0), "fp16": (1, 0), "sq8": (2, 20), "pq": (10, 100)}  # times k, and at least

Take = Callable[[Rows], Vectors]  # the vectors of these rows, ascending


@dataclass(frozen=True)
class IndexKind:
    """A structure and a storage; as text `hnsw-fp16`, `ivf-pq`, ..., and `flat` for flat-fp32.

    | structure | compares a query with           | storage | bytes a vector         |
    |-----------|---------------------------------|---------|------------------------|
    | `flat`    | every vector                    | `fp32`  | 4 * dim                |
    | `hnsw`    | neighbours of neighbours        | `fp16`  | 2 * dim                |
    | `ivf`     | the lists of nearest centroids  | `sq8`   | dim                    |
    |           |                                 | `pq`    | dim / 8, at least 64   |

    Args:
        structure: `hnsw` adds 264 bytes a vector, `ivf` 8.
        storage: `sq8` and `pq` score roughly; what they find is scored again from the vectors on the disk.
    """

    structure: Structure = "flat"
    storage: Storage = "fp32"

    @classmethod
    def parse(cls, text: str) -> IndexKind:
        """The kind of that name.

        Raises:
            InputError: There is none; the message lists those there are.

        >>> str(IndexKind.parse("hnsw-fp16")), str(IndexKind.parse("flat-fp32"))
        ('hnsw-fp16', 'flat')
        """
        for kind in ALL_KINDS:
            if text in (str(kind), f"{kind.structure}-{kind.storage}"):
                return kind
        raise InputError(f"no index of kind {text!r}: there are {', '.join(map(str, ALL_KINDS))}")

    def __str__(self) -> str:
        return "flat" if self == IndexKind() else f"{self.structure}-{self.storage}"

    @property
    def is_trained(self) -> bool:
        """Whether it learns from the vectors before it takes them in; others take any number at any time."""
        return self.structure == "ivf" or self.is_rough

    @property
    def is_rough(self) -> bool:
        """Whether its scores are approximate, so that candidates must be scored again."""
        return self.storage in ("sq8", "pq")

    @property
    def keeps_rows(self) -> bool:
        """Whether the vectors lie in the FAISS index row by row; elsewhere they are kept beside it."""
        return self.structure != "ivf" and not self.is_rough

    def candidates(self, k: int) -> int:
        """How many to fetch for the k best to be among them."""
        factor, least = CANDIDATES[self.storage]
        return max(factor * k, least)

    def resident_bytes(self, n: int, dim: int) -> int:
        """Memory that n vectors take when searched, without what stays on the disk."""
        stored = {"fp32": 4 * dim, "fp16": 2 * dim, "sq8": dim, "pq": _pieces(dim)}[self.storage]
        structure = {"flat": 0, "hnsw": 4 * (2 * LINKS + 2), "ivf": 8}[self.structure]
        centroids = 4 * dim * _lists(n) if self.structure == "ivf" else 0
        return n * (stored + structure + 9) + centroids  # 9: the key, and whether it lives

    def build(self, dim: int, n: int, take: Take) -> Any:
        """The index of n vectors: FAISS's, or a FlatIndex.

        Args:
            dim: Length of a vector.
            n: How many; at least LEAST_TO_TRAIN where `is_trained`.
            take: Gives the vectors of ascending rows, (m, dim) float32. It is asked for a sample to train on,
                then for all in blocks, so they need not be in memory together.
        """
        if self == IndexKind():
            rows = np.empty((n, dim), np.float32)
            for start in range(0, n, BLOCK):
                rows[start : start + BLOCK] = take(np.arange(start, min(start + BLOCK, n)))
            return FlatIndex(rows)
        index: Any = faiss.index_factory(dim, self._recipe(dim, n), faiss.METRIC_INNER_PRODUCT)
        faiss.omp_set_num_threads(CORES)
        self._tune(index)
        if self.is_trained:
            for clustering in _clusterings(index):
                clustering.niter, clustering.min_points_per_centroid = KMEANS_ROUNDS, 1
            if self.structure == "ivf":
                index.cp.max_points_per_centroid = POINTS_PER_LIST
            n_sample = min(n, max(POINTS_FOR_CODES, POINTS_PER_LIST * _lists(n)))
            index.train(take(np.sort(np.random.default_rng(0).choice(n, n_sample, replace=False))))
        for start in range(0, n, BLOCK):
            index.add(take(np.arange(start, min(start + BLOCK, n))))
        return index

    @property
    def suffix(self) -> str:
        """What the name of an index's file ends with."""
        return ".vectors.npy" if self == IndexKind() else ".faiss"

    def write(self, index: Any, path: Path) -> None:
        """Writes an index to a file.

        Raises:
            OSError, RuntimeError: It can't be written; the second is what FAISS raises.
        """
        if isinstance(index, FlatIndex):
            index.write(path)
        else:
            faiss.write_index(index, str(path))

    def read(self, path: Path) -> Any:
        """The index in a file, mapped: it takes memory as it is used, shared among processes.

        Raises:
            RuntimeError, ValueError, OSError, EOFError: Damaged, missing, or of another kind.
        """
        if self == IndexKind():
            return FlatIndex.read(path)
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        n = max(index.ntotal, 1)
        expected = type(faiss.index_factory(index.d, self._recipe(index.d, n), faiss.METRIC_INNER_PRODUCT))
        if not isinstance(index, expected):
            raise RuntimeError(f"expected {expected.__name__}, found {type(index).__name__}")
        self._tune(index)
        return index

    def search(self, index: Any, queries: Vectors, k: int) -> tuple[NDArray[np.float32], Rows]:
        """The k nearest rows of each of (n, dim) queries: scores (n, k), falling, and rows, -1 where missing."""
        set_threads(len(queries))
        parameters: Any = None
        if self.structure == "hnsw" and 2 * k > EF_SEARCH:
            parameters = _faiss.SearchParametersHNSW(efSearch=2 * k)
        elif self.structure == "ivf" and index.ntotal:
            n_lists = math.ceil(ROWS_PROBED * k * index.nlist / index.ntotal)
            if n_lists > LISTS_PROBED:
                parameters = _faiss.SearchParametersIVF(nprobe=min(n_lists, index.nlist))
        found: tuple[NDArray[np.float32], Rows] = index.search(queries, k, params=parameters)
        return found

    def _recipe(self, dim: int, n: int) -> str:
        """What FAISS's index factory calls it."""
        storage = {"fp32": "Flat", "fp16": "SQfp16", "sq8": "SQ8", "pq": f"PQ{_pieces(dim)}np"}[self.storage]
        return {"flat": storage, "hnsw": f"HNSW{LINKS}_{storage}", "ivf": f"IVF{_lists(n)},{storage}"}[self.structure]

    def _tune(self, index: Any) -> None:
        if self.structure == "hnsw":
            index.hnsw.efConstruction, index.hnsw.efSearch = EF_CONSTRUCTION, EF_SEARCH
        elif self.structure == "ivf":
            index.nprobe = LISTS_PROBED


# No hnsw-pq: a graph grown over codes falls apart. Measured, it found 74 of 100 where ivf-pq found 99.
ALL_KINDS = [
    IndexKind(structure, storage)
    for structure in get_args(Structure)
    for storage in get_args(Storage)
    if (structure, storage) != ("hnsw", "pq")
]


def set_threads(n_queries: int) -> None:
    """FAISS shares queries out among threads. More threads than queries only wait, on a core each."""
    faiss.omp_set_num_threads(max(1, min(n_queries, CORES)))


def copied(index: Any) -> Any:
    """A copy that can be added to. FAISS ends the process on adding to a mapped index, or to a clone of one."""
    if isinstance(index, FlatIndex):
        return index.copy()
    writer, reader = faiss.VectorIOWriter(), faiss.VectorIOReader()
    faiss.write_index(index, writer)
    reader.data.swap(writer.data)
    return faiss.read_index(reader)


def flat_over(vectors: NDArray[Any]) -> Any:
    """A flat index of (n, dim) float16 or float32 rows as they are, to score them by."""
    if vectors.dtype == np.float32:
        return FlatIndex(vectors)
    n, dim = vectors.shape
    index = float16_rows(dim)
    index.add_sa_codes_c(n, faiss.swig_ptr(vectors.reshape(-1).view(np.uint8)), None)
    return index


def float16_rows(dim: int) -> Any:
    """An empty flat index in float16."""
    return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _lists(n: int) -> int:
    return max(1, round(4 * math.sqrt(n)))


def _pieces(dim: int) -> int:
    """Bytes of a product-quantised vector: the least divisor of dim that is enough."""
    enough = min(dim, max(64, dim // 8))
    return next(pieces for pieces in range(enough, dim + 1) if dim % pieces == 0)


def _clusterings(index: Any) -> list[Any]:
    """The k-means settings of an index: of its centroids, of its code books."""
    return [part.cp for part in (index, getattr(index, "pq", index)) if hasattr(part, "cp")]
