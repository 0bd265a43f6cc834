"""Examples in a query: documents and pictures that results should, or should not, be like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from crossmodal.core.errors import InputError
from crossmodal.core.types import Vectors, image_id
from crossmodal.search.combining import combined

Example = str | bytes
"""The id of a document of the collection, or an encoded picture."""

MAX_EXAMPLES = 50
LIKED, UNLIKED = 0.8, 0.5
"""Weights of the mean liked and the mean unliked vector beside the words: beta and gamma of Rocchio, with alpha = 1.

Chosen by simulated users, see docs/feedback.md.
"""


class UnknownExampleError(InputError):
    """An example is not a document of the collection."""


def check_number(likes: Sequence[Example], unlikes: Sequence[Example]) -> None:
    """Checks that a query does not have too many examples.

    Raises:
        InputError: There are more than `MAX_EXAMPLES`.
    """
    n = len(likes) + len(unlikes)
    if n > MAX_EXAMPLES:
        raise InputError(f"likes and unlikes: {n} examples, at most {MAX_EXAMPLES} together are allowed: remove some")


def ids_of(examples: Iterable[Example]) -> tuple[str, ...]:
    """The ids of examples, each once; that of a picture is the one it has if it is a document."""
    ids = (example if isinstance(example, str) else image_id(example) for example in examples)
    return tuple(dict.fromkeys(ids))


def pictures_of(examples: Iterable[Example]) -> list[bytes]:
    """The examples that are pictures, which must be encoded."""
    return [example for example in examples if isinstance(example, bytes)]


def vectors_of(
    examples: Sequence[Example], encoded: Iterable[Vectors], stored: Mapping[str, Vectors], field: str
) -> list[Vectors]:
    """The vectors (dim,) of examples, in order.

    Args:
        examples: The examples.
        encoded: The vectors of those that are pictures, in order.
        stored: The vectors of documents by id.
        field: The name of the examples in errors: `likes` or `unlikes`.

    Raises:
        UnknownExampleError: There is no such document; the message has its place.
        InputError: A picture can't be encoded.
    """
    of_pictures = iter(encoded)
    vectors = []
    for i, example in enumerate(examples):
        if isinstance(example, str) and example not in stored:
            raise UnknownExampleError(f"{field}.{i}: there is no document {example[:80]!r}: it may have been removed")
        try:
            vectors.append(stored[example] if isinstance(example, str) else next(of_pictures))
        except InputError as error:
            raise InputError(f"{field}.{i}: {error}") from error
    return vectors


def refined(
    words: Vectors | None,
    liked: Sequence[Vectors],
    unliked: Sequence[Vectors],
    avoided: Sequence[Vectors] = (),
    mix: float = 0.5,
) -> Vectors:
    """The unit vector (dim,) of a query with examples, for one search of one index.

    It is words + 0.8 mean(liked) - 0.5 mean(unliked), from which avoided words are then subtracted as without examples.
    One liked example alone is the query itself, and the order of examples does not matter.

    Args:
        words: The unit vector (dim,) of the wanted words, None without any.
        liked: Unit vectors (dim,) of what results should be like.
        unliked: Unit vectors (dim,) of what they should not be like.
        avoided: Unit vectors (dim,) of words to avoid.
        mix: The share of the examples relative to the words, 0 to 1; 0.5 leaves the weights as they are.

    Raises:
        InputError: There is nothing but what to avoid, or the parts cancel each other out.

    Source: Rocchio, Relevance Feedback in Information Retrieval, 1971.

    >>> x, y = np.float32([1, 0]), np.float32([0, 1])
    >>> [f"{number:.3f}" for number in refined(None, [x], [y])]
    ['0.848', '-0.530']
    """
    if words is None and not liked:
        raise InputError("the query has only examples to avoid: give words, or an example of what to find")
    of_words, of_examples = (2 * (1 - mix), 2 * mix) if words is not None else (0.0, 1 / LIKED)
    parts = [] if words is None else [(words, of_words)]
    parts += [(_mean(liked), LIKED * of_examples)] if liked else []
    parts += [(-_mean(unliked), UNLIKED * of_examples)] if unliked else []
    return combined(parts, avoided)


def _mean(vectors: Sequence[Vectors]) -> Vectors:
    """The mean (dim,), to the last bit the same in any order of the vectors."""
    in_order = sorted(np.asarray(vector, np.float64).tolist() for vector in vectors)
    mean: Vectors = np.mean(np.asarray(in_order), axis=0)
    return mean
