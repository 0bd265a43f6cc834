"""One query out of several parts: words and a picture together, and words to avoid."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from crossmodal.core.errors import InputError
from crossmodal.core.types import Vectors

AVOIDED_BY = 0.5
"""How much of an avoided vector is taken away. On the toy data, half of it does what all of it does."""

_AVOIDED = re.compile(r'(?:^|(?<=\s))-(?:"([^"]+)"|([^\W\d_][^\s"]*))')


def without_avoided(text: str) -> tuple[str, list[str]]:
    """A text without its words to avoid, and these.

    A word to avoid has a minus before it and a space, or nothing, before that; several words stand in quotes.

    >>> without_avoided('a well-known dog -red -"at night"')
    ('a well-known dog', ['red', 'at night'])
    """
    avoided = [quoted or word for quoted, word in _AVOIDED.findall(text)]
    return " ".join(_AVOIDED.sub(" ", text).split()), avoided


def combined(wanted: Sequence[tuple[Vectors, float]], avoided: Sequence[Vectors] = ()) -> Vectors:
    """The unit vector (dim,) of a query that has several parts.

    The wanted ones are added by weight, and half the mean of the avoided ones is taken away. That keeps to one
    search in one index, at the price that what is avoided comes later in the order, and is not ruled out.

    Args:
        wanted: Unit vectors (dim,) and their weights, which are not negative.
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
        total = total / length - AVOIDED_BY * np.mean(np.asarray(avoided, np.float64), axis=0)
        length = np.linalg.norm(total)
    if length <= 1e-6:
        raise InputError("the parts of the query cancel each other out: change the mix or the words to avoid")
    unit: Vectors = (total / length).astype(np.float32)
    return unit
