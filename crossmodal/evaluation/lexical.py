"""How well pictures are found by their words, and what the posting lists look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from crossmodal.core.types import Vectors
from crossmodal.evaluation.recall import CHUNK, Ranks, summarise
from crossmodal.evaluation.tables import FigureTable

KS = (1, 5, 10, 20, 30, 40, 50, 100)


def ranks_of_scores(scores: Vectors, own: NDArray[np.int64]) -> Ranks:
    """The rank of each query's own picture; a picture with the same score stands before it.

    Args:
        scores: (m, n), query i and picture j; `-inf` where it was not found.
        own: (m,) the picture of each query.

    Example:
        >>> ranks_of_scores(np.array([[0.5, 0.9, 0.9]], np.float32), np.array([2]))
        array([2])
    """
    of_own = np.take_along_axis(scores, own[:, None], axis=1)
    return np.asarray(scores.shape[1] - np.count_nonzero(scores < of_own, axis=1), np.int64)


def sparse_ranks(images: csr_matrix, queries: csr_matrix, image_of: NDArray[np.int64]) -> Ranks:
    """The rank of each query's own picture by the dot product: (n, V) pictures, (m, V) queries, (m,) rows."""
    columns = images.T.tocsc()
    parts = []
    for start in range(0, queries.shape[0], CHUNK):
        scores = np.asarray((queries[start : start + CHUNK] @ columns).toarray(), np.float32)
        parts.append(ranks_of_scores(scores, image_of[start : start + CHUNK]))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def figures(ranks: Ranks) -> dict[str, float]:
    """Recalls at 1, 5, 10, 20, 30, 40, 50 and 100, the ranks, and MRR."""
    return summarise(ranks, KS).to_dict()


@dataclass(frozen=True)
class PostingFigures:
    """What an inverted index over these pictures looks like.

    Attributes:
        n_images: Pictures.
        n_terms: Words of the vocabulary.
        n_postings: Weights in all.
        n_empty_lists: Words no picture has.
        n_without_terms: Pictures without a word.
        terms_per_image: Mean, and the greatest number.
        list_length: Median and greatest length of the lists that are not empty.
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
        """Flat, ready for JSON."""
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
    """The figures of (n, V) pictures and (m, V) queries, n > 0."""
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


def recall_table(title: str, rows: Mapping[str, Mapping[str, Any]]) -> FigureTable:
    """Models, or parts of a hybrid, side by side; what a row has no figure for is a dash."""
    names = (*(f"R@{k}" for k in KS), "MRR")
    extra = tuple(name for name in ("terms_per_image", "terms_per_query", "postings", "p50_ms") if _any(rows, name))
    told = tuple((name, *(_word(row.get(column)) for column in (*names, *extra))) for name, row in rows.items())
    headings = {"terms_per_image": "terms/image", "terms_per_query": "terms/query", "p50_ms": "p50 ms"}
    return FigureTable(title, ("model", *names, *(headings.get(name, name) for name in extra)), told)


def draw_recalls(rows: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Writes a PNG: recall by k of each row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, row in rows.items():
        axes.plot(KS, [row[f"R@{k}"] for k in KS], marker="o", markersize=3, label=name)
    axes.set(xlabel="k", ylabel="recall@k, text to image", xscale="log", ylim=(0, 1.02))
    axes.set_xticks(KS, [str(k) for k in KS])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside right upper")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def strongest_words(weights: csr_matrix, words: Sequence[str], at_most: int = 10) -> list[tuple[str, float]]:
    """The words of a picture, (1, V) weights, the strongest first; equal ones by the alphabet."""
    found = [(words[t], float(w)) for t, w in zip(weights.indices, weights.data, strict=True)]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:at_most]


def _any(rows: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    return any(name in row for row in rows.values())


def _word(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
