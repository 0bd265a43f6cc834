"""Random conditions about the values of given documents, in the syntax of `crossmodal.store.where`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from crossmodal.core.types import Document

MAX_CHARACTERS = 30
_COLUMNS = ("id", "modality", "uri", "mime_type", "text", "width", "height", "image_id")
_NUMBER_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_TEXT_OPERATORS = ("=", "!=", "<", ">", "contains", "not contains", "like")
_UNQUOTABLE = re.compile(r'[\x00-\x1f\\"]')
_MAX_NUMBER = 2**53


def random_condition(rng: Random, documents: Sequence[Document]) -> str:
    """A condition that compares fields with values that some of the documents have."""
    parts = [_comparison(rng, rng.choice(documents)) for _ in range(rng.randint(1, 3))]
    return rng.choice((" and ", " or ")).join(parts)


def _comparison(rng: Random, document: Document) -> str:
    fields = [*((name, vars(document)[name]) for name in _COLUMNS), *_tags("tags", document.tags)]
    name, value = rng.choice(fields)
    if value is None:
        return f"{name} is {rng.choice(('null', 'not null'))}"
    if isinstance(value, bool):
        return f"{name} {rng.choice(('=', '!='))} {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"{name} {rng.choice(_NUMBER_OPERATORS)} {value!r}"
    operator, start = rng.choice(_TEXT_OPERATORS), 0
    if "contains" in operator:
        start = rng.randrange(len(value) + 1)
    text = value[start : start + MAX_CHARACTERS].partition("\0")[0].replace("'", "''")
    comparison = f"{name} {operator} '{text}{'%' if operator == 'like' else ''}'"
    return f"not ({comparison})" if rng.random() < 0.2 else comparison


def _tags(path: str, tags: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The names and values of all tags that a condition can compare."""
    for name, value in tags.items():
        if _UNQUOTABLE.search(name) or len(path) + len(name) > 10 * MAX_CHARACTERS:
            continue
        quoted = f'{path}."{name}"'
        if isinstance(value, dict):
            yield from _tags(quoted, value)
        elif isinstance(value, (int, float)):
            if abs(value) < _MAX_NUMBER:
                yield quoted, value
        elif value is None or isinstance(value, str):
            yield quoted, value
