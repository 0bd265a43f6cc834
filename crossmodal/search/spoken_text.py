"""The text of a query while its phrases about time and place are found in it."""

from __future__ import annotations

import re

TAKEN = "\ue000"
"""Stands for each character of a phrase that was understood; a character of private use, which no text has."""
OPAQUE = "\ue001"
"""Stands for each character of a quoted phrase or a word to avoid, which are left alone."""

END = rf"(?=\s*(?:$|[,.;!?){TAKEN}]|(?:in|at|on|near|by|with|from|during|around|while|under|over|behind|beside)\b))"
"""What follows a phrase that is surely complete: the end, punctuation, another phrase, or a preposition."""
START = rf"(?<![\w'’\-/{OPAQUE}])"
WHOLE = rf"(?![\w'’\-/{OPAQUE}])"
"""No letter, digit, apostrophe, hyphen or slash stands before or after a phrase."""

_LEFT_ALONE = re.compile(r'"[^"]*"?|(?:^|(?<=\s))-\S+')
_DANGLING = r"(?:in|at|on|from|of|near|during|around|by|and|the|taken|to)"
_EDGES = re.compile(rf"^[\s,.;]+|(?:[\s,;]|(?<![^\s,;]){_DANGLING})+$", re.IGNORECASE)
_GENERIC = re.compile(
    r"(?:(?:all|my|our|the|some|show|find|me|any|of|photos?|pictures?|pics?|images?|shots?|everything|anything)\b\s*)+",
    re.IGNORECASE,
)


def opaque(text: str) -> str:
    """The text with the quoted phrases and the words to avoid hidden, each character by another."""
    return _LEFT_ALONE.sub(lambda match: OPAQUE * len(match[0]), text)


def take(text: str, start: int, end: int, mark: str = TAKEN) -> str:
    """The text with each character of a phrase replaced by a mark."""
    return text[:start] + mark * (end - start) + text[end:]


def remaining(original: str, marked: str) -> str:
    """The words of a text that were not understood; empty if they are only words such as "my photos of".

    >>> marked = take("photos of dogs in July 2023, in the snow", 15, 27)
    >>> remaining("photos of dogs in July 2023, in the snow", marked)
    'photos of dogs in the snow'
    """
    if TAKEN not in marked:
        return original
    pieces = re.split(
        f"{TAKEN}+", "".join(t if m == TAKEN else o for o, m, t in zip(original, marked, marked, strict=True))
    )
    cut = [re.sub(r"^\s*[,;]\s*", " ", piece) if i else piece for i, piece in enumerate(pieces)]
    text = " ".join(re.sub(r"\(\s*\)", " ", " ".join(cut)).split())
    if text and text != original:
        text = _EDGES.sub("", text)
    return "" if _GENERIC.fullmatch(text) else text
