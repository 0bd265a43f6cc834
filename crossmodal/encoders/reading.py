"""Which part of a text a model reads: one with a limited context ignores what comes after it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence

_PIECES = re.compile(r"\S{1,16}")
"""Words; pieces of them in scripts without spaces between words."""


def unread_part(ids_of: Callable[[str], Sequence[int]], text: str) -> str:
    """The end of a text that has no influence on its token ids, empty where all of it is read.

    Args:
        ids_of: The token ids of a text, as the model gets them: cut off at its context length.
        text: What is to be encoded.

    >>> unread_part(lambda text: [len(word) for word in text.split()][:3], "one two three four five")
    'four five'
    """
    ids = list(ids_of(text))
    if list(ids_of(f"{text} a")) != ids:
        return ""
    ends = [piece.end() for piece in _PIECES.finditer(text)]
    read = bisect_left(ends, True, key=lambda end: list(ids_of(text[:end])) == ids)
    return text[ends[read] :].strip() if read < len(ends) else ""
