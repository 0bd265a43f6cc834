"""The kinds of vector indexes: building, searching, writing and reading each.

Vectors have length 1, so the inner product is the cosine. Ids are row numbers. docs/scale.md has the figures of other
kinds, which are no longer built.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.core.machine import CORES
from crossmodal.core.types import Vectors
from crossmodal.index.flat import FlatIndex, Rows, faiss_library, set_threads

KindName = Literal["flat", "hnsw-fp16", "ivf-pq"]
REPLACED: dict[str, KindName] = {
    "flat-fp32": "flat", "flat-fp16": "flat", "flat-sq8": "flat", "flat-pq": "ivf-pq",
    "hnsw-fp32": "hnsw-fp16", "hnsw-sq8": "hnsw-fp16",
    "ivf-fp32": "ivf-pq", "ivf-fp16": "ivf-pq", "ivf-sq8": "ivf-pq",
}  # fmt: skip
"""Replacements of the kinds in older manifests that are no longer built."""

BLOCK = 65_536  # vectors per call of FAISS
LEAST_TO_TRAIN = 1_000  # vectors; fewer are too few to train centroids and code books (PQ needs 256)
GROWTH_UNTIL_RETRAINED = 4

LINKS = 32  # of a node of the HNSW graph, on upper levels; 64 on the lowest
EF_CONSTRUCTION = 64
EF_SEARCH = 128
LISTS_PROBED = 32
ROWS_PROBED = 16  # minimum per requested candidate
KMEANS_ROUNDS = 8
POINTS_PER_LIST, POINTS_FOR_CODES = 40, 65_536
PQ_CANDIDATES, LEAST_PQ_CANDIDATES = 10, 100  # times k, and at least

Take = Callable[[Rows], Vectors]  # the vectors of these rows, ascending


@dataclass(frozen=True)
class IndexKind:
    """A kind of index by name.

    | name        | compares a query with                     | bytes per vector in memory    |
    |-------------|-------------------------------------------|-------------------------------|
    | `flat`      | every vector                              | 4 * dim                       |
    | `hnsw-fp16` | neighbours of neighbours in a graph       | 2 * dim + 264                 |
    | `ivf-pq`    | the vectors of the nearest centroids      | dim / 8, at least 64, plus 8  |

    `ivf-pq` compares compressed vectors; its candidates are rescored with the vectors on disk.
    """

    name: KindName = "flat"

    @classmethod
    def parse(cls, text: str) -> IndexKind:
        """The kind with this name.

        Raises:
            InputError: The kind is unknown; the message lists the known ones.

        >>> str(IndexKind.parse("hnsw-fp16"))
        'hnsw-fp16'
        """
        for kind in ALL_KINDS:
            if text == kind.name:
                return kind
        raise InputError(f"unknown index kind {text!r}: choose one of {', '.join(map(str, ALL_KINDS))}")

    def __str__(self) -> str:
        return self.name

    @property
    def is_trained(self) -> bool:
        """Whether the kind must be trained on a sample before vectors are added."""
        return self.name == "ivf-pq"

    @property
    def is_rough(self) -> bool:
        """Whether scores are approximate, so that candidates must be rescored."""
        return self.name == "ivf-pq"

    @property
    def keeps_rows(self) -> bool:
        """Whether the index stores the vectors row by row; other kinds need a separate file of vectors."""
        return self.name != "ivf-pq"

    def candidates(self, k: int) -> int:
        """Number of candidates to fetch for k results."""
        return max(PQ_CANDIDATES * k, LEAST_PQ_CANDIDATES) if self.is_rough else k

    def resident_bytes(self, n: int, dim: int) -> int:
        """Memory of an index of n vectors during searches, without data that stays on disk."""
        key_and_alive = 9
        if self.name == "flat":
            return n * (4 * dim + key_and_alive)
        if self.name == "hnsw-fp16":
            return n * (2 * dim + 4 * (2 * LINKS + 2) + key_and_alive)
        return n * (_pieces(dim) + 8 + key_and_alive) + 4 * dim * _lists(n)

    def build(self, dim: int, n: int, take: Take) -> Any:
        """An index of n vectors: a FAISS index, or a FlatIndex.

        Args:
            dim: Dimension of the vectors.
            n: Number of vectors, at least LEAST_TO_TRAIN if `is_trained`.
            take: Returns the vectors of ascending rows, (m, dim) float32. Called for a training sample, then for all
                rows in blocks, so that the vectors need not be in memory together.
        """
        if self == FLAT:
            rows = np.empty((n, dim), np.float32)
            for start in range(0, n, BLOCK):
                rows[start : start + BLOCK] = take(np.arange(start, min(start + BLOCK, n)))
            return FlatIndex(rows)
        faiss = faiss_library()
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
        """Suffix of an index file."""
        return ".vectors.npy" if self == FLAT else ".faiss"

    def write(self, index: Any, path: Path) -> None:
        """Writes an index to a file.

        Raises:
            OSError, RuntimeError: The file can't be written; FAISS raises RuntimeError.
        """
        if isinstance(index, FlatIndex):
            index.write(path)
        else:
            faiss_library().write_index(index, str(path))

    def read(self, path: Path) -> Any:
        """The index in a file, memory-mapped and shared between processes.

        Raises:
            RuntimeError, ValueError, OSError, EOFError: The file is damaged, missing, or of another kind.
        """
        if self == FLAT:
            return FlatIndex.read(path)
        faiss = faiss_library()
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        n = max(index.ntotal, 1)
        expected = type(faiss.index_factory(index.d, self._recipe(index.d, n), faiss.METRIC_INNER_PRODUCT))
        if not isinstance(index, expected):
            raise RuntimeError(f"expected {expected.__name__}, found {type(index).__name__}")
        self._tune(index)
        return index

    def search(
        self, index: Any, queries: Vectors, k: int, n_visited: int | None = None
    ) -> tuple[NDArray[np.float32], Rows]:
        """Scores (n, k), falling, and rows (n, k) of the k nearest of each of (n, dim) queries; missing rows are -1.

        A graph keeps the nearest `n_visited` nodes during the search, by default `EF_SEARCH`, or 2k if that is more.
        """
        if self == FLAT:
            flat: tuple[NDArray[np.float32], Rows] = index.search(queries, k)
            return flat
        faiss = faiss_library()
        set_threads(len(queries))
        parameters: Any = None
        if self == HNSW_FP16:
            parameters = faiss.SearchParametersHNSW(efSearch=max(2 * k, n_visited or EF_SEARCH))
        elif self == IVF_PQ and index.ntotal:
            n_lists = math.ceil(ROWS_PROBED * k * index.nlist / index.ntotal)
            if n_lists > LISTS_PROBED:
                parameters = faiss.SearchParametersIVF(nprobe=min(n_lists, index.nlist))
        result: tuple[NDArray[np.float32], Rows] = index.search(queries, k, params=parameters)
        return result

    def _recipe(self, dim: int, n: int) -> str:
        """The description of the kind for FAISS's index factory."""
        return f"HNSW{LINKS}_SQfp16" if self == HNSW_FP16 else f"IVF{_lists(n)},PQ{_pieces(dim)}np"

    def _tune(self, index: Any) -> None:
        if self == HNSW_FP16:
            index.hnsw.efConstruction, index.hnsw.efSearch = EF_CONSTRUCTION, EF_SEARCH
        else:
            index.nprobe = LISTS_PROBED


FLAT, HNSW_FP16, IVF_PQ = IndexKind("flat"), IndexKind("hnsw-fp16"), IndexKind("ivf-pq")
ALL_KINDS = [FLAT, HNSW_FP16, IVF_PQ]


def copied(index: Any) -> Any:
    """A copy in memory that accepts new vectors; adding to a mapped FAISS index, or its clone, aborts the process."""
    if isinstance(index, FlatIndex):
        return index.copy()
    faiss = faiss_library()
    writer, reader = faiss.VectorIOWriter(), faiss.VectorIOReader()
    faiss.write_index(index, writer)
    reader.data.swap(writer.data)
    return faiss.read_index(reader)


def flat_over(vectors: NDArray[Any]) -> Any:
    """A flat index of vectors (n, dim), float16 or float32, without conversion."""
    if vectors.dtype == np.float32:
        return FlatIndex(vectors)
    n, dim = vectors.shape
    index = float16_rows(dim)
    index.add_sa_codes_c(n, faiss_library().swig_ptr(vectors.reshape(-1).view(np.uint8)), None)
    return index


def float16_rows(dim: int) -> Any:
    """An empty flat index in float16."""
    faiss = faiss_library()
    return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _lists(n: int) -> int:
    return max(1, round(4 * math.sqrt(n)))


def _pieces(dim: int) -> int:
    """Bytes of a product-quantised vector: the smallest divisor of dim that is at least dim / 8 and 64."""
    least = min(dim, max(64, dim // 8))
    return next(pieces for pieces in range(least, dim + 1) if dim % pieces == 0)


def _clusterings(index: Any) -> list[Any]:
    """The k-means settings of an index, for its centroids and its code books."""
    return [part.cp for part in (index, getattr(index, "pq", index)) if hasattr(part, "cp")]
