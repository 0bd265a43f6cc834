"""Figures of lexical retrieval: ranks, recall tables, and statistics of posting lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from crossmodal.core.types import Vectors
from crossmodal.evaluation.recall import CHUNK, Ranks, summarise
from crossmodal.evaluation.tables import FigureTable

KS = (1, 5, 10, 20, 30, 40, 50, 100)


def ranks_of_scores(scores: Vectors, image_of: NDArray[np.int64]) -> Ranks:
    """The rank of each query's image, (m,) from 1; other images with the same score rank first.

    Args:
        scores: (m, n) of query i and image j; `-inf` if it is not a match.
        image_of: (m,) index of each query's image.

    Example:
        >>> ranks_of_scores(np.array([[0.5, 0.9, 0.9]], np.float32), np.array([2]))
        array([2])
    """
    relevant = np.take_along_axis(scores, image_of[:, None], axis=1)
    return np.asarray(scores.shape[1] - np.count_nonzero(scores < relevant, axis=1), np.int64)


def sparse_ranks(images: csr_matrix, queries: csr_matrix, image_of: NDArray[np.int64]) -> Ranks:
    """The rank (m,) of each query's image by dot product.

    Args:
        images: (n, V) weights.
        queries: (m, V) weights.
        image_of: (m,) index of each query's image.
    """
    columns = images.T.tocsc()
    parts = []
    for start in range(0, queries.shape[0], CHUNK):
        scores = np.asarray((queries[start : start + CHUNK] @ columns).toarray(), np.float32)
        parts.append(ranks_of_scores(scores, image_of[start : start + CHUNK]))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def figures(ranks: Ranks) -> dict[str, float]:
    """Recall at each of `KS`, median and mean rank, and MRR, JSON-ready."""
    return summarise(ranks, KS).to_dict()


@dataclass(frozen=True)
class PostingFigures:
    """Statistics of an inverted index.

    Attributes:
        n_images: Number of images.
        n_terms: Number of terms in the vocabulary.
        n_postings: Number of weights.
        n_empty_lists: Number of terms without images.
        n_without_terms: Number of images without terms.
        terms_per_image: Mean and maximum.
        list_length: Median and maximum length of the posting lists that are not empty.
        terms_per_query: Mean.
    """

    n_images: int
    n_terms: int
    n_postings: int
    n_empty_lists: int
    n_without_terms: int
    terms_per_image: tuple[float, int]
    list_length: tuple[float, int]
    terms_per_query: float

    def to_dict(self) -> dict[str, float]:
        """A flat, JSON-ready dictionary."""
        return {
            "images": self.n_images,
            "terms": self.n_terms,
            "postings": self.n_postings,
            "empty_lists": self.n_empty_lists,
            "images_without_terms": self.n_without_terms,
            "terms_per_image": round(self.terms_per_image[0], 2),
            "most_terms_of_an_image": self.terms_per_image[1],
            "median_list": self.list_length[0],
            "longest_list": self.list_length[1],
            "terms_per_query": round(self.terms_per_query, 2),
        }


def posting_figures(images: csr_matrix, queries: csr_matrix) -> PostingFigures:
    """The statistics of the weights of images (n, V), n > 0, and queries (m, V)."""
    active = np.diff(images.indptr)
    lengths = np.bincount(images.indices, minlength=images.shape[1])
    filled = lengths[lengths > 0]
    return PostingFigures(
        n_images=images.shape[0],
        n_terms=images.shape[1],
        n_postings=int(images.nnz),
        n_empty_lists=int((lengths == 0).sum()),
        n_without_terms=int((active == 0).sum()),
        terms_per_image=(float(active.mean()), int(active.max())),
        list_length=(float(np.median(filled)), int(filled.max())) if len(filled) else (0.0, 0),
        terms_per_query=queries.nnz / max(queries.shape[0], 1),
    )


def recall_table(rows: Mapping[str, Mapping[str, Any]]) -> FigureTable:
    """A table of recall with a row per model or part of a hybrid; missing figures are dashes."""
    names = (*(f"R@{k}" for k in KS), "MRR")
    extra = tuple(name for name in ("terms_per_image", "terms_per_query", "postings", "p50_ms") if _any(rows, name))
    cells = tuple((name, *(_cell(row.get(column)) for column in (*names, *extra))) for name, row in rows.items())
    headings = {"terms_per_image": "terms/image", "terms_per_query": "terms/query", "p50_ms": "p50 ms"}
    return FigureTable("", ("model", *names, *(headings.get(name, name) for name in extra)), cells)


def _any(rows: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    return any(name in row for row in rows.values())


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
