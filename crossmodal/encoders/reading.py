"""The part of a text that a model with a limited context ignores."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence

from crossmodal.core.protocols import Encoder

_PIECES = re.compile(r"\S{1,16}")
"""Words, or pieces of 16 characters in scripts without spaces between words."""


def unread_part(ids_of: Callable[[str], Sequence[int]], text: str) -> str:
    """The end of a text that doesn't affect its token ids; empty if the model reads the whole text.

    Args:
        ids_of: Returns the token ids of a text, truncated at the model's context length.
        text: The text to encode.

    >>> unread_part(lambda text: [len(word) for word in text.split()][:3], "one two three four five")
    'four five'
    """
    ids = list(ids_of(text))
    if list(ids_of(f"{text} a")) != ids:
        return ""
    ends = [piece.end() for piece in _PIECES.finditer(text)]
    read = bisect_left(ends, True, key=lambda end: list(ids_of(text[:end])) == ids)
    return text[ends[read] :].strip() if read < len(ends) else ""


def unread_note(encoder: Encoder, text: str) -> str:
    """A note with the end of a text that exceeds the model's context; empty if the whole text is encoded."""
    unread = encoder.unread(text)
    return f"beyond the length that the model reads, so not used: {unread!r}" if unread else ""
