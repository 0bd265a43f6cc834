"""Figures of a sparse model on an encoded split: recall of terms and of dense vectors, and posting lists."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from crossmodal.core.types import Vectors
from crossmodal.evaluation import lexical as measures
from crossmodal.evaluation.encoding import EncodedSplit
from crossmodal.evaluation.recall import CHUNK, Ranks
from crossmodal.evaluation.tables import FigureTable
from crossmodal.lexical.inverted import SparseIndex
from crossmodal.lexical.model import SparseModel, strongest_words
from crossmodal.lexical.scoring import Scoring

TIMED_QUERIES = 200
"""Maximum number of queries for measuring latency."""

TIMED_K = 10
LONGEST = 20


def epoch_figures(model: SparseModel, split: EncodedSplit) -> dict[str, Any]:
    """The figures of a training epoch: recall and MRR by dot product, and the terms per image and query."""
    images, queries = weights_of(model, split)
    recalls = measures.figures(measures.sparse_ranks(images, queries, split.image_of))
    postings = measures.posting_figures(images, queries).to_dict()
    return recalls | {name: postings[name] for name in ("terms_per_image", "terms_per_query")}


def model_figures(model: SparseModel, split: EncodedSplit, scoring: Scoring) -> dict[str, dict[str, Any]]:
    """Text-to-image figures of the dense encoder and of the sparse model, by name."""
    return {
        f"dense {model.config.base}": dense_figures(split),
        f"sparse {model.config.recipe}": sparse_figures(model, split, scoring),
    }


def dense_figures(split: EncodedSplit) -> dict[str, Any]:
    """Recall of the dense vectors, and the latency of one query against all images; empty without text vectors."""
    texts = split.texts
    if texts is None:
        return {}
    ranks = []
    for start in range(0, len(texts), CHUNK):
        scores = texts[start : start + CHUNK] @ split.images.T
        ranks.append(measures.ranks_of_scores(scores, split.image_of[start : start + CHUNK]))
    k = min(TIMED_K, len(split.images))
    latency = _median_ms(lambda row: np.argpartition(split.images @ texts[row], -k), len(texts))
    return measures.figures(np.concatenate(ranks)) | {"p50_ms": latency}


def sparse_figures(model: SparseModel, split: EncodedSplit, scoring: Scoring) -> dict[str, Any]:
    """Recall with the inverted index, statistics of the posting lists, and the latency of a search with k = 10."""
    images, queries = weights_of(model, split)
    index = index_of(images)
    ranks = index_ranks(index, queries, split.image_of, scoring)
    latency = _median_ms(lambda row: index.search(queries[row], TIMED_K, scoring=scoring), queries.shape[0])
    postings = measures.posting_figures(images, queries).to_dict()
    return measures.figures(ranks) | postings | {"p50_ms": latency}


def analysis(
    model: SparseModel, images: csr_matrix, captions: list[str], names: list[str], n_words: int
) -> dict[str, Any]:
    """Statistics of the posting lists, and the strongest words of some images.

    Args:
        model: The sparse model.
        images: (n, V) weights of the images.
        captions: The captions of the images, as queries.
        names: Names of the first images, whose words are listed.
        n_words: Number of words per image.

    Returns:
        `{"figures", "words", "pictures"}`: the statistics; the length of each posting list, longest first; and the
        strongest words of each named image with their weights.
    """
    words = model.vocabulary.words
    lengths = np.bincount(images.indices, minlength=len(words))
    longest_first = np.argsort(-lengths, kind="stable")
    listed = {name: strongest_words(images[row], words, n_words) for row, name in enumerate(names)}
    return {
        "figures": measures.posting_figures(images, model.vocabulary.encode(captions)).to_dict(),
        "words": {words[term]: int(lengths[term]) for term in longest_first},
        "pictures": listed,
    }


def analysis_tables(result: Mapping[str, Any]) -> list[FigureTable]:
    """The tables of an `analysis`: the statistics, and the `LONGEST` longest posting lists."""
    statistics = [(name.replace("_", " "), f"{value:g}") for name, value in result["figures"].items()]
    longest = [(word, str(n_images)) for word, n_images in islice(result["words"].items(), LONGEST)]
    return [
        FigureTable("Posting lists", ("figure", "value"), tuple(statistics)),
        FigureTable("Longest posting lists", ("word", "images"), tuple(longest)),
    ]


def weights_of(model: SparseModel, split: EncodedSplit) -> tuple[csr_matrix, csr_matrix]:
    """The weights of a split's images (n, V) and of its captions as queries (m, V)."""
    return model.image_weights(split.images), model.text_weights(split.captions, split.texts)


def index_of(images: csr_matrix) -> SparseIndex:
    """An inverted index of weights (n, V), with row numbers as keys."""
    index = SparseIndex(images.shape[1])
    index.add(np.arange(images.shape[0]), images)
    return index


def index_ranks(index: SparseIndex, queries: csr_matrix, image_of: NDArray[np.int64], scoring: Scoring) -> Ranks:
    """The rank (m,) of each query's image in an index with row numbers as keys."""
    n_images, parts = len(index), []
    for start in range(0, queries.shape[0], CHUNK):
        scores, keys = index.search(queries[start : start + CHUNK], n_images, scoring=scoring)
        all_scores = scores_of_all(scores, keys, n_images)
        parts.append(measures.ranks_of_scores(all_scores, image_of[start : start + CHUNK]))
    return np.concatenate(parts)


def scores_of_all(scores: Vectors, keys: NDArray[np.int64], n_images: int, missing: float = -np.inf) -> Vectors:
    """The scores (q, n_images) of all images from those of matches (q, k); `missing` for images that don't match.

    Example:
        >>> scores_of_all(np.array([[2.0, 0.0]], np.float32), np.array([[1, -1]]), 3, 0.0).tolist()
        [[0.0, 2.0, 0.0]]
    """
    all_scores = np.full((len(keys), n_images + 1), missing, np.float32)  # a key of -1 writes to the last column
    np.put_along_axis(all_scores, keys, scores, axis=1)
    return all_scores[:, :n_images]


def _median_ms(search: Callable[[int], object], n_queries: int) -> float:
    """The median latency in ms over the first queries."""
    seconds = []
    for row in range(min(TIMED_QUERIES, n_queries)):
        began = time.perf_counter()
        search(row)
        seconds.append(time.perf_counter() - began)
    return round(1000 * float(np.median(seconds)), 3)
