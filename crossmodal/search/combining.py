"""Combines the vectors of queries with several parts: words, pictures, and words to avoid."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from crossmodal.core.errors import InputError
from crossmodal.core.types import Vectors

AVOIDED_WEIGHT = 0.5
"""The share of the mean avoided vector that is subtracted. On the toy data a share of 1 gives the same results."""

_AVOIDED = re.compile(r'(?:^|(?<=\s))-(?:"([^"]+)"|([^\W\d_][^\s"]*))')


def without_avoided(text: str) -> tuple[str, list[str]]:
    """The text without its words to avoid, and these words in order.

    A word to avoid follows a minus at the start of the text or after white space; a phrase is in double quotes.

    >>> without_avoided('a well-known dog -red -"at night"')
    ('a well-known dog', ['red', 'at night'])
    """
    avoided = [quoted or word for quoted, word in _AVOIDED.findall(text)]
    return " ".join(_AVOIDED.sub(" ", text).split()), avoided


def part_weights(has_text: bool, n_pictures: int, mix: float) -> list[float]:
    """The weights of the wanted parts of a query, the words before the pictures.

    Args:
        has_text: Whether there are wanted words.
        n_pictures: Number of pictures and documents of the collection in the query.
        mix: If there are words, the share of all pictures together, 0 to 1.

    >>> part_weights(True, 2, 0.5)
    [0.5, 0.25, 0.25]
    """
    if not has_text:
        return [1.0] * n_pictures
    if not n_pictures:
        return [1.0]
    return [1 - mix] + [mix / n_pictures] * n_pictures


def combined(wanted: Sequence[tuple[Vectors, float]], avoided: Sequence[Vectors] = ()) -> Vectors:
    """The unit vector (dim,) of a query with several parts, for one search of one index.

    It is the weighted sum of the wanted vectors minus half the mean of the avoided ones. Documents that match an
    avoided part rank lower, but are not excluded.

    Args:
        wanted: Unit vectors (dim,) and their weights, which are at least 0.
        avoided: Unit vectors (dim,).

    Raises:
        InputError: The parts cancel each other out.

    Source: arithmetic on embeddings, Mikolov, Yih and Zweig, Linguistic Regularities in Continuous Space Word
    Representations, 2013.

    >>> x, y = np.float32([1, 0]), np.float32([0, 1])
    >>> [f"{number:.3f}" for number in combined([(x, 1.0), (y, 1.0)])]
    ['0.707', '0.707']
    >>> [f"{number:.3f}" for number in combined([(x, 1.0)], [y])]
    ['0.894', '-0.447']
    """
    total = np.sum([np.asarray(vector, np.float64) * weight for vector, weight in wanted], axis=0)
    length = np.linalg.norm(total)
    if length > 1e-6 and avoided:
        total = total / length - AVOIDED_WEIGHT * np.mean(np.asarray(avoided, np.float64), axis=0)
        length = np.linalg.norm(total)
    if length <= 1e-6:
        raise InputError("the parts of the query cancel each other out: change the mix or the words to avoid")
    unit: Vectors = (total / length).astype(np.float32)
    return unit
