"""Text of users for a terminal: what would steer it, or start a new line, is shown as an escape instead."""

from __future__ import annotations

import json
import re
from typing import Any

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line and paragraph separators, what overrides the direction of text, and halves of characters,
as file names that are no UTF-8 have."""
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str) -> str:
    r"""The text in one line, with what a terminal would act on as an escape; all else is as it was.

    >>> print(printable("a\x1b[31m red\nname [/i] :dog:"))
    a\u001b[31m red\nname [/i] :dog:
    """
    return _STEERING.sub(lambda found: _SHORT.get(found[0]) or _escape(found), text)


def to_json(value: Any, indent: int | None = None) -> str:
    r"""The value as JSON that is safe to print and that any reader of JSON gives back as it was.

    >>> print(to_json({"name": 'a "b"\n\x9b'}))
    {"name": "a \"b\"\n\u009b"}
    """
    told = json.dumps(value, ensure_ascii=False, indent=indent)
    return re.sub(r"(?!\n)" + _STEERING.pattern, _escape, told)  # a raw newline is one of the indentation


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
