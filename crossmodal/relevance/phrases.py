"""General English phrases: the reference queries of a collection that has no captions to learn from."""

from __future__ import annotations

from functools import cache
from importlib import resources

FILE = "phrases.txt"


@cache
def general_phrases() -> tuple[str, ...]:
    """About a thousand distinct phrases of one to six words, in file order, without the comment lines."""
    lines = (resources.files("crossmodal.relevance") / FILE).read_text("utf8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))
