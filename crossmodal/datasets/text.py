"""Where bytes become text, and where a value of a caption file becomes a caption or a name."""

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
_UNDECODED = re.compile("[\udc80-\udcff]")  # as `surrogateescape` keeps a byte that is no UTF-8
_SURROGATE = re.compile("[\ud800-\udfff]")
_DEEPEST = 3  # a list of objects with lists
_CAPTION_KEYS = ("raw", "caption", "text", "sentence")
NOT_UTF8 = "not UTF-8: save the file as UTF-8 (`iconv -f CP1252 -t UTF-8` converts Windows text)"


@dataclass(frozen=True)
class Unusable:
    """Why a value is no caption."""

    reason: str


def read_text(path: Path) -> str:
    """The text of a regular file: UTF-8; UTF-16 or UTF-32 where it begins with their byte order mark; UTF-16 where
    it begins with a letter of it.

    Bytes that are no text become surrogates, so that only the captions with them have to be given up.

    Raises:
        OSError: It can't be read, or is no regular file, such as a FIFO, which would be waited for.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("not a regular file")
    raw = path.read_bytes()
    mark, encoding, width = next((known for known in _MARKS if raw.startswith(known[0])), (b"", "utf-8", 1))
    if not mark and raw[:2].count(0) == 1:
        encoding, width = "utf-16-le" if raw[0] else "utf-16-be", 2
    raw = raw[len(mark) :]
    if width == 1:
        return raw.decode("utf-8", "surrogateescape")
    whole = len(raw) - len(raw) % width
    return raw[:whole].decode(encoding, "surrogatepass") + ("\udcff" if raw[whole:] else "")


def split_lines(text: str) -> list[str]:
    """The lines of a text; only CR and LF end one."""
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


def captions_in(value: object, depth: int = 0) -> Iterator[str | Unusable]:
    """The captions of a value: of a text, of a list of texts, or of an object with the text as `raw`, `caption`,
    `text` or `sentence`.

    None and NaN are no caption. A number or a truth value is none either, but a mistake: it is unusable, and so is a
    text that is empty, holds a NUL or could not be stored as UTF-8.
    """
    if value is None or value != value:
        return
    if depth > _DEEPEST:
        yield Unusable("is nested too deep")
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from captions_in(item, depth + 1)
    elif isinstance(value, Mapping):
        told = next((value[key] for key in _CAPTION_KEYS if value.get(key) is not None), None)
        if told is None and not any(key in value for key in _CAPTION_KEYS):
            yield Unusable(f"is an object without {', '.join(_CAPTION_KEYS)}")
        yield from captions_in(told, depth + 1)
    else:
        found = as_text(value)
        yield found if isinstance(found, Unusable) else " ".join(found.split()) or Unusable("is empty")


def as_text(value: object) -> str | Unusable:
    """A text or the bytes of one; unusable is what is no text, or could not be stored as UTF-8."""
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
    """A text with what is no UTF-8 written as escapes."""
    return name.encode("utf8", "backslashreplace").decode("utf8")
