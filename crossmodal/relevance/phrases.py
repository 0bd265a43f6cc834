"""Phrases of all kinds, which a query is compared with where a collection has no captions to learn from."""

from __future__ import annotations

from functools import cache
from importlib import resources

FILE = "phrases.txt"


@cache
def general_phrases() -> tuple[str, ...]:
    """About a thousand different phrases of one to six words, without the comment lines of their file."""
    lines = (resources.files("crossmodal.relevance") / FILE).read_text("utf8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))
