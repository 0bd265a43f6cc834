"""Precision at k and the search score of ConvNet Playground for images in class folders.

Queries are images, which should retrieve others of their class, or class names, which should retrieve the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.core.types import Vectors

KS = (1, 5, 10)
DEPTH = 15
"""Number of results per image query, as in the definition of the search score."""

NAME_K = 10
"""Number of results per class name."""

CHUNK = 512

Hits = NDArray[np.bool_]  # (n, depth): whether the result at that rank is of the query's class


def number_classes(names: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The classes in alphabetical order, and the index of each image's class.

    Raises:
        InputError: There is one class only, or no class has two images.

    Example:
        >>> number_classes(["dog", "cat", "dog"])
        (['cat', 'dog'], array([1, 0, 1]))
    """
    classes = sorted(set(names))
    if len(classes) < 2:
        raise InputError(
            f"all {len(names)} pictures are in one folder ({', '.join(classes)}) and none has captions: "
            "put them into one folder per class, or add a caption file"
        )
    number = {name: place for place, name in enumerate(classes)}
    class_of = np.array([number[name] for name in names], np.int64)
    if np.bincount(class_of).max() < 2:
        raise InputError(
            f"each of the {len(classes)} class folders has one picture only, and none has captions: "
            "put two or more pictures into a folder, or add a caption file"
        )
    return classes, class_of


def hits_among_best(images: Vectors, class_of: NDArray[np.int64], depth: int = DEPTH) -> Hits:
    """Whether the nearest other images of each image are of its class.

    Args:
        images: (n, dim) unit vectors.
        class_of: (n,) index of each image's class.
        depth: Number of results per query.

    Returns:
        (n, depth), best first, without the query, False beyond the number of images. Ties are pessimistic: an image of
        another class with the same score ranks first.

    Example:
        >>> images = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], np.float32)
        >>> hits_among_best(images, np.array([0, 0, 1, 1]), depth=2)
        array([[ True, False],
               [False,  True],
               [False,  True],
               [ True, False]])
    """
    hits = np.zeros((len(images), depth), np.bool_)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        scores = images[part] @ images.T
        rows = np.arange(len(scores))
        scores[rows, start + rows] = -np.inf  # ranks the query itself last, to cut it off
        same = class_of[part, None] == class_of[None, :]
        same[rows, start + rows] = False
        best = np.lexsort((same, -scores), axis=1)[:, :-1][:, :depth]
        hits[part, : best.shape[1]] = np.take_along_axis(same, best, axis=1)
    return hits


def name_query(name: str) -> str:
    """The text query for the name of a class.

    Source: Radford et al. 2021, arXiv 2103.00020, section 3.1.4 (the default prompt).

    Example:
        >>> name_query("grand_piano")
        'a photo of a grand piano'
    """
    return f"a photo of a {' '.join(name.replace('_', ' ').split())}"


def name_precisions(
    images: Vectors, texts: Vectors, class_of: NDArray[np.int64], k: int = NAME_K
) -> NDArray[np.float64]:
    """Precision at k of each class name: the share of the k nearest images that are of the class.

    Args:
        images: (n, dim) unit vectors.
        texts: (number of classes, dim) unit vectors of the names.
        class_of: (n,) index of each image's class.
        k: Number of results; a class with fewer images can't reach 1.

    Returns:
        (number of classes,) in [0, 1]. Ties are pessimistic, as in `hits_among_best`.

    Example:
        >>> images = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
        >>> name_precisions(images, np.array([[1, 0], [0.6, 0.8]], np.float32), np.array([0, 0, 1]), k=1)
        array([1., 0.])
    """
    same = class_of[None, :] == np.arange(len(texts))[:, None]
    best = np.lexsort((same, -(texts @ images.T)), axis=1)[:, :k]
    shares: NDArray[np.float64] = np.take_along_axis(same, best, axis=1).sum(axis=1) / k
    return shares


def precision_at(hits: Hits, k: int) -> NDArray[np.float64]:
    """Precision at k of each image: the share of the k best results that are of its class.

    Args:
        hits: (n, depth), from `hits_among_best`.
        k: At most `depth`; a class with fewer than k other images can't reach 1.

    Returns:
        (n,) in [0, 1].

    Example:
        >>> precision_at(np.array([[True, False, True, True]]), 2)
        array([0.5])
    """
    shares: NDArray[np.float64] = hits[:, :k].sum(axis=1) / k
    return shares


def search_score(hits: Hits) -> NDArray[np.float64]:
    """The share of the 15 best results that are of the query's class, weighted by rank, in percent.

    Args:
        hits: (n, 15), from `hits_among_best`.

    Returns:
        (n,) in [0, 100]. Rank i, from 0, has the weight (15 - i) / 15, and the weights sum to 8; with fewer than 15
        other images the score can't reach 100.

    Source: ConvNet Playground (Cloudera Fast Forward Labs, 2019), here without the query itself.

    Example:
        >>> hits = np.zeros((1, 15), bool)
        >>> hits[0, [0, 14]] = True  # (15 + 1) / 15 of 8
        >>> search_score(hits).round(2)
        array([13.33])
    """
    weights = (DEPTH - np.arange(DEPTH)) / DEPTH
    scores: NDArray[np.float64] = 100 * (hits[:, :DEPTH] @ weights) / weights.sum()
    return scores


def figures(hits: Hits, classes: Sequence[str], class_of: NDArray[np.int64]) -> dict[str, Any]:
    """The means over all queries and over those of each class, JSON-ready.

    The only image of a class is a candidate, but not a query.

    Returns:
        `{"queries", "alone", "P@1", "P@5", "P@10", "search_score", "per_class": {name: {...}}}`.
    """
    n_of_class = np.bincount(class_of, minlength=len(classes))
    is_query = n_of_class[class_of] > 1
    per_class = {
        name: {"images": int(n_of_class[number]), **_means(hits[class_of == number])}
        for number, name in enumerate(classes)
        if n_of_class[number] > 1
    }
    alone = int((~is_query).sum())
    return {"queries": int(is_query.sum()), "alone": alone, **_means(hits[is_query]), "per_class": per_class}


def _means(hits: Hits) -> dict[str, float]:
    precisions = {f"P@{k}": round(float(precision_at(hits, k).mean()), 4) for k in KS}
    return {**precisions, "search_score": round(float(search_score(hits).mean()), 2)}
