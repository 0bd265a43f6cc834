"""Retrieval: the nearest documents of query vectors, among those that meet a condition."""

from __future__ import annotations

import numpy as np

from crossmodal.core.errors import InputError
from crossmodal.core.types import MODALITIES, Modality, ModelSpec, Vectors
from crossmodal.index.dense import UNIT_TOLERANCE
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.search.fusion import depth_for
from crossmodal.search.query import SearchOptions


def searched_modalities(modality: str, options: SearchOptions, model: ModelSpec) -> tuple[Modality, ...]:
    """The modalities that a query searches.

    Args:
        modality: The modality of the query: `text`, `image`, or `vector` for a vector.
        options: A `target` is searched if there is one. By default a text searches pictures; a picture or a vector
            searches captions, or pictures if the model encodes no captions.
        model: The model of the collection.
    """
    default = "image" if modality == "text" or "text" not in model.modalities else "text"
    wanted = options.target or default
    return tuple(known for known in MODALITIES if wanted in (known, "both"))


def retrieval_depth(model: ModelSpec, top_k: int) -> int:
    """The number of nearest vectors to retrieve for the best `top_k`; more if they are fused with words."""
    return depth_for(top_k) if model.has_lexical else top_k


def check_vector(vector: Vectors, dim: int) -> None:
    """Checks that a query vector, which a client may have sent, can be compared.

    Raises:
        InputError: It does not have the shape (dim,) and the length 1.
    """
    if vector.shape != (dim,) or not abs(float(np.linalg.norm(vector)) - 1) < UNIT_TOLERANCE:
        raise InputError(f"a vector of shape {vector.shape}: expected ({dim},), of length 1")


def nearest(index: VectorReplica, queries: Vectors, depth: int, options: SearchOptions) -> list[dict[int, float]]:
    """The nearest documents of each query: their cosines by key, best first.

    Args:
        index: The index of the modality to search.
        queries: (n, dim) unit vectors.
        depth: Maximum number of documents per query.
        options: The condition, which is evaluated once for all queries.
    """
    scores, keys = index.search_where(queries, depth, options.condition)
    return [
        {key: score for key, score in zip(row_keys, row_scores, strict=True) if key >= 0}
        for row_keys, row_scores in zip(keys.tolist(), scores.tolist(), strict=True)
    ]
