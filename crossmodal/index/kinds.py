"""The kinds of vector index: how each is built, searched, written and read.

Vectors have length 1, so the inner product is the cosine. Ids are row numbers. Other kinds were measured and are no
longer built (docs/scale.md).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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

KindName = Literal["flat", "hnsw-fp16", "ivf-pq"]
REPLACED: dict[str, KindName] = {
    "flat-fp32": "flat", "flat-fp16": "flat", "flat-sq8": "flat", "flat-pq": "ivf-pq",
    "hnsw-fp32": "hnsw-fp16", "hnsw-sq8": "hnsw-fp16",
    "ivf-fp32": "ivf-pq", "ivf-fp16": "ivf-pq", "ivf-sq8": "ivf-pq",
}  # fmt: skip
"""The nearest kind for each one that a manifest may name and that is no longer built."""

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
PQ_CANDIDATES, LEAST_PQ_CANDIDATES = 10, 100  # times k, and at least

Take = Callable[[Rows], Vectors]  # the vectors of these rows, ascending


@dataclass(frozen=True)
class IndexKind:
    """A kind of index by name.

    | name        | compares a query with                     | bytes a vector in memory      |
    |-------------|-------------------------------------------|-------------------------------|
    | `flat`      | every vector                              | 4 * dim                       |
    | `hnsw-fp16` | neighbours of neighbours in a graph       | 2 * dim + 264                 |
    | `ivf-pq`    | the vectors of the nearest centroids      | dim / 8, at least 64, plus 8  |

    `ivf-pq` compares compressed vectors; the candidates that it finds are scored again from the vectors on the disk.
    """

    name: KindName = "flat"

    @classmethod
    def parse(cls, text: str) -> IndexKind:
        """The kind of that name.

        Raises:
            InputError: There is none; the message lists those there are.

        >>> str(IndexKind.parse("hnsw-fp16"))
        'hnsw-fp16'
        """
        for kind in ALL_KINDS:
            if text == kind.name:
                return kind
        raise InputError(f"no index of kind {text!r}: there are {', '.join(map(str, ALL_KINDS))}")

    def __str__(self) -> str:
        return self.name

    @property
    def is_trained(self) -> bool:
        """Whether it must be trained on vectors before any is added; the others take any number at any time."""
        return self.name == "ivf-pq"

    @property
    def is_rough(self) -> bool:
        """Whether its scores are approximate, so that candidates must be scored again."""
        return self.name == "ivf-pq"

    @property
    def keeps_rows(self) -> bool:
        """Whether the index holds the vectors row by row; for other kinds they are kept beside it."""
        return self.name != "ivf-pq"

    def candidates(self, k: int) -> int:
        """How many candidates to fetch so that the k best are among them."""
        return max(PQ_CANDIDATES * k, LEAST_PQ_CANDIDATES) if self.is_rough else k

    def resident_bytes(self, n: int, dim: int) -> int:
        """Memory of an index of n vectors while it is searched, without what stays on the disk."""
        key_and_alive = 9
        if self.name == "flat":
            return n * (4 * dim + key_and_alive)
        if self.name == "hnsw-fp16":
            return n * (2 * dim + 4 * (2 * LINKS + 2) + key_and_alive)
        return n * (_pieces(dim) + 8 + key_and_alive) + 4 * dim * _lists(n)

    def build(self, dim: int, n: int, take: Take) -> Any:
        """An index of n vectors: a FAISS index, or a FlatIndex.

        Args:
            dim: Length of a vector.
            n: How many; at least LEAST_TO_TRAIN where `is_trained`.
            take: Returns the vectors of ascending rows, (m, dim) float32. It is called for a training sample, then
                for all rows in blocks, so the vectors need not be in memory together.
        """
        if self == FLAT:
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
            index.cp.max_points_per_centroid = POINTS_PER_LIST
            n_sample = min(n, max(POINTS_FOR_CODES, POINTS_PER_LIST * _lists(n)))
            index.train(take(np.sort(np.random.default_rng(0).choice(n, n_sample, replace=False))))
        for start in range(0, n, BLOCK):
            index.add(take(np.arange(start, min(start + BLOCK, n))))
        return index

    @property
    def suffix(self) -> str:
        """What the name of an index's file ends with."""
        return ".vectors.npy" if self == FLAT else ".faiss"

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
        if self == FLAT:
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
        if self == HNSW_FP16 and 2 * k > EF_SEARCH:
            parameters = _faiss.SearchParametersHNSW(efSearch=2 * k)
        elif self == IVF_PQ and index.ntotal:
            n_lists = math.ceil(ROWS_PROBED * k * index.nlist / index.ntotal)
            if n_lists > LISTS_PROBED:
                parameters = _faiss.SearchParametersIVF(nprobe=min(n_lists, index.nlist))
        found: tuple[NDArray[np.float32], Rows] = index.search(queries, k, params=parameters)
        return found

    def _recipe(self, dim: int, n: int) -> str:
        """Its name in FAISS's index factory."""
        return f"HNSW{LINKS}_SQfp16" if self == HNSW_FP16 else f"IVF{_lists(n)},PQ{_pieces(dim)}np"

    def _tune(self, index: Any) -> None:
        if self == HNSW_FP16:
            index.hnsw.efConstruction, index.hnsw.efSearch = EF_CONSTRUCTION, EF_SEARCH
        else:
            index.nprobe = LISTS_PROBED


FLAT, HNSW_FP16, IVF_PQ = IndexKind("flat"), IndexKind("hnsw-fp16"), IndexKind("ivf-pq")
ALL_KINDS = [FLAT, HNSW_FP16, IVF_PQ]


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
