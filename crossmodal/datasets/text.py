"""Decoding of text files, and conversion of a caption file's values to captions and names."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_MARKS = (
    (codecs.BOM_UTF8, "utf-8", 1), (codecs.BOM_UTF32_LE, "utf-32-le", 4), (codecs.BOM_UTF32_BE, "utf-32-be", 4),
    (codecs.BOM_UTF16_LE, "utf-16-le", 2), (codecs.BOM_UTF16_BE, "utf-16-be", 2),
)  # fmt: skip
_LINE_END = re.compile(r"\r\n|\r|\n")
_UNDECODED = re.compile("[\udc80-\udcff]")  # how `surrogateescape` represents a byte that is not UTF-8
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_DEPTH = 3  # a list of objects with lists
_CAPTION_KEYS = ("raw", "caption", "text", "sentence")
NOT_UTF8 = "not UTF-8: save the file as UTF-8 (`iconv -f CP1252 -t UTF-8` converts Windows text)"


@dataclass(frozen=True)
class Unusable:
    """The reason why a value is not a caption or a name."""

    reason: str


def read_text(path: Path) -> str:
    """The text of a regular file in UTF-8, or in UTF-16 or UTF-32.

    UTF-16 and UTF-32 are recognised by their byte order mark, UTF-16 also by a leading ASCII character. Undecodable
    bytes become surrogates, so that only the captions that contain them are rejected.

    Raises:
        OSError: The file can't be read, or is not a regular file (reading a FIFO would block).
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("not a regular file")
    raw = path.read_bytes()
    mark, encoding, width = next((entry for entry in _MARKS if raw.startswith(entry[0])), (b"", "utf-8", 1))
    if not mark and raw[:2].count(0) == 1:
        encoding, width = "utf-16-le" if raw[0] else "utf-16-be", 2
    raw = raw[len(mark) :]
    if width == 1:
        return raw.decode("utf-8", "surrogateescape")
    whole = len(raw) - len(raw) % width
    return raw[:whole].decode(encoding, "surrogatepass") + ("\udcff" if raw[whole:] else "")


def split_lines(text: str) -> list[str]:
    """The lines of a text, split at CR, LF and CR LF only."""
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


def captions_in(value: object, depth: int = 0) -> Iterator[str | Unusable]:
    """The captions in a text, in a list of texts, or in an object with the key `raw`, `caption`, `text` or `sentence`.

    None and NaN yield nothing. A number, a boolean, and a text that is empty, contains a NUL or can't be encoded as
    UTF-8 yield an `Unusable`.
    """
    if value is None or value != value:
        return
    if depth > _MAX_DEPTH:
        yield Unusable("is nested too deep")
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from captions_in(item, depth + 1)
    elif isinstance(value, Mapping):
        nested = next((value[key] for key in _CAPTION_KEYS if value.get(key) is not None), None)
        if nested is None and not any(key in value for key in _CAPTION_KEYS):
            yield Unusable(f"is an object without {', '.join(_CAPTION_KEYS)}")
        yield from captions_in(nested, depth + 1)
    else:
        text = as_text(value)
        yield text if isinstance(text, Unusable) else " ".join(text.split()) or Unusable("is empty")


def as_text(value: object) -> str | Unusable:
    """The text of a `str` or of UTF-8 bytes; `Unusable` for other types and for text that can't be stored as UTF-8."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Unusable(f"is a number, not text: {value!r:.40}")
    if not isinstance(value, str):
        return Unusable(f"is of type {type(value).__name__}, not text")
    if value.isascii() and "\0" not in value:
        return value
    if _UNDECODED.search(value):
        return Unusable(f"is {NOT_UTF8}")
    if _SURROGATE.search(value):
        return Unusable(f"has half of a surrogate pair: {as_utf8(value[:80])}")
    if "\0" in value:
        return Unusable("has a NUL character")
    return value


def as_utf8(name: str) -> str:
    """The text with characters that can't be encoded as UTF-8 (lone surrogates) as escapes."""
    return name.encode("utf8", "backslashreplace").decode("utf8")
