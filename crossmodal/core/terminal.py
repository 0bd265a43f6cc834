"""Escapes for printing untrusted text to a terminal: control characters can't move the cursor or add lines."""

from __future__ import annotations

import json
import re
from typing import Any

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line and paragraph separators, bidirectional overrides, and lone surrogates (which stand for
bytes in file names that are not UTF-8)."""
_SHORT_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str) -> str:
    r"""The text on one line with control characters escaped; all other characters are unchanged.

    >>> print(printable("a\x1b[31m red\nname [/i] :dog:"))
    a\u001b[31m red\nname [/i] :dog:
    """
    return _CONTROL.sub(lambda match: _SHORT_ESCAPES.get(match[0]) or _escape(match), text)


def to_json(value: Any) -> str:
    r"""The value as JSON that is safe to print and that parses to the same value.

    >>> print(to_json({"name": 'a "b"\n\x9b'}))
    {"name": "a \"b\"\n\u009b"}
    """
    return _CONTROL.sub(_escape, json.dumps(value, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
