"""Selects the fusion of dense vectors, learned terms and BM25 over captions that ranks best on a split.

BM25 never searches the query itself: the captions are split into folds by position, and caption c of each image is
searched in the other captions, with caption c excluded for all images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Vectors
from crossmodal.evaluation import lexical as measures
from crossmodal.evaluation.encoding import EncodedSplit
from crossmodal.evaluation.recall import CHUNK, Ranks
from crossmodal.evaluation.term_ranking import index_of, scores_of_all, weights_of
from crossmodal.lexical.bm25 import Bm25
from crossmodal.lexical.model import SparseModel
from crossmodal.search.fusion import DEPTH, Fusion, Method, ScoredKeys, candidates, shares

METHODS: tuple[Method, ...] = ("rrf", "weighted")


def tune(parts: Mapping[str, ScoredKeys], image_of: NDArray[np.int64], n_images: int) -> dict[str, Any]:
    """The fusion with the best R@10, then MRR, of all candidates.

    Args:
        parts: The matches of each part for every caption, from `matches_of_parts`.
        image_of: (m,) index of each caption's image.
        n_images: The number of images.

    Returns:
        `{"parts", "rows", "best"}`: the names of the parts in order; the figures of each part alone, of `rrf`, and of
        the best fusion; and the best fusion as text.
    """
    by_method = {
        method: [scores_of_all(shares(matches, method), matches[1], n_images, 0.0) for matches in parts.values()]
        for method in METHODS
    }
    tried: list[tuple[Fusion, dict[str, float]]] = []
    for fusion in candidates(len(parts)):
        weighted = zip(fusion.weights_for(len(parts)), by_method[fusion.method], strict=True)
        total = sum((weight * scores for weight, scores in weighted if weight), np.zeros((1, 1), np.float32))
        tried.append((fusion, measures.figures(_ranks_of_matches(total, image_of))))
    alone = {name: dict(tried)[_alone(place, len(parts))] for place, name in enumerate(parts)}
    best, figures = max(tried, key=lambda pair: (pair[1]["R@10"], pair[1]["MRR"]))
    rows = {**alone, "rrf": tried[0][1], f"best: {best}": figures}
    return {"parts": list(parts), "rows": rows, "best": str(best)}


def matches_of_parts(model: SparseModel, split: EncodedSplit) -> dict[str, ScoredKeys]:
    """The matches of each part for every caption; `dense` needs text vectors, `bm25` several captions of an image."""
    depth = min(DEPTH, len(split.images))
    images, queries = weights_of(model, split)
    parts: dict[str, ScoredKeys] = {}
    if split.texts is not None:
        parts["dense"] = _dense_matches(split.images, split.texts, depth)
    parts["sparse"] = index_of(images).search(queries, depth, scoring=model.config.scoring)
    position = caption_positions(split.image_of)
    if position.max() > 0:
        parts["bm25"] = _bm25_matches(split, position, depth)
    return parts


def caption_positions(image_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """The position of each caption among those of its image, (m,) from 0; captions of an image are adjacent.

    Example:
        >>> caption_positions(np.array([0, 0, 0, 1, 1, 2])).tolist()
        [0, 1, 2, 0, 1, 0]
    """
    starts = np.flatnonzero(np.diff(image_of, prepend=-1))
    positions: NDArray[np.int64] = np.arange(len(image_of)) - np.repeat(
        starts, np.diff(np.append(starts, len(image_of)))
    )
    return positions


def _dense_matches(images: Vectors, texts: Vectors, depth: int) -> ScoredKeys:
    scores = np.empty((len(texts), depth), np.float32)
    keys = np.empty(scores.shape, np.int64)
    for start in range(0, len(keys), CHUNK):
        products = texts[start : start + CHUNK] @ images.T
        best = np.argsort(-products, axis=1, kind="stable")[:, :depth]
        keys[start : start + CHUNK], scores[start : start + CHUNK] = best, np.take_along_axis(products, best, axis=1)
    return scores, keys


def _bm25_matches(split: EncodedSplit, position: NDArray[np.int64], depth: int) -> ScoredKeys:
    """The BM25 matches of each caption, searched in the captions at other positions."""
    scores = np.full((len(position), depth), -np.inf, np.float32)
    keys = np.full((len(position), depth), -1, np.int64)
    for left_out in range(int(position.max()) + 1):
        rows = np.flatnonzero(position == left_out)
        kept: list[list[str]] = [[] for _ in range(len(split.images))]
        for row in np.flatnonzero(position != left_out):
            kept[split.image_of[row]].append(split.captions[row])
        documents = [" ".join(captions) for captions in kept]
        bm25 = Bm25.fit(documents)
        queries = bm25.encode_queries([split.captions[row] for row in rows])
        scores[rows], keys[rows] = index_of(bm25.encode(documents)).search(queries, depth)
    return scores, keys


def _ranks_of_matches(scores: Vectors, image_of: NDArray[np.int64]) -> Ranks:
    """As `ranks_of_scores`, but an image with a score of 0 matched in no part and ranks last."""
    return measures.ranks_of_scores(np.where(scores > 0, scores, -np.inf).astype(np.float32), image_of)


def _alone(part: int, n_parts: int) -> Fusion:
    return Fusion("weighted", tuple(float(place == part) for place in range(n_parts)))
