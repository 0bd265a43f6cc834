"""The text in a picture, as a reader of text (OCR) found it: lines and words with their places."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict, dataclass
from typing import Any

Box = tuple[float, ...]
"""The corners x, y of a quadrangle, clockwise from the text's upper left, as shares (0 to 1) of the width and height of
the picture after its EXIF orientation: eight numbers."""
MAX_TAG = 1_000
"""Characters of a picture's text in the tag `text`, which every search result has; the reading has all of it."""


@dataclass(frozen=True)
class ReadWord:
    """A word, the reader's confidence from 0 to 1, and its place."""

    text: str
    confidence: float
    box: Box


@dataclass(frozen=True)
class ReadLine:
    """A line of text, the reader's confidence from 0 to 1, its place and its words."""

    text: str
    confidence: float
    box: Box
    words: tuple[ReadWord, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What a reader found in a picture; without lines, it has no text.

    Attributes:
        engine: The reader and its version.
        lines: From top to bottom, as the reader orders them.
    """

    engine: str
    lines: tuple[ReadLine, ...] = ()

    @property
    def text(self) -> str:
        """The lines, separated by line feeds."""
        return "\n".join(line.text for line in self.lines)

    @property
    def tag(self) -> str:
        """The text as the tag `text` of the picture: at most `MAX_TAG` characters, empty if there is none."""
        return self.text if len(self.text) <= MAX_TAG else self.text[: MAX_TAG - 1] + "…"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary, the inverse of `from_dict`."""
        return asdict(self)

    def to_json(self) -> str:
        """The JSON text that `from_json` reads."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Reading:
        """The reading of a dictionary that `to_dict` made.

        Raises:
            ValueError, KeyError, TypeError: It is not one.
        """
        return cls(str(values["engine"]), tuple(_line(line) for line in values["lines"]))

    @classmethod
    def from_json(cls, text: str) -> Reading:
        """The reading of a text that `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: It is not one.
        """
        return cls.from_dict(json.loads(text))


def _line(values: dict[str, Any]) -> ReadLine:
    words = tuple(ReadWord(*_fields(word)) for word in values["words"])
    return ReadLine(*_fields(values), words)


def _fields(values: dict[str, Any]) -> tuple[str, float, Box]:
    box = tuple(float(number) for number in values["box"])
    if len(box) != 8:
        raise ValueError(f"a box of text has {len(box)} numbers, expected 8")
    text = str(values["text"])
    text.encode()  # raises for an unpaired surrogate, which can't be stored
    if "\0" in text:
        raise ValueError("a text contains U+0000")
    return text, float(values["confidence"]), box


def folded_words(text: str) -> list[str]:
    """The words of a text in order, in small letters without accents; apostrophes are dropped.

    Unlike the words of captions they keep digits, stop words and endings, because text in a picture is found as it is
    written there.

    >>> folded_words("McDonald's CAFÉ, open 24/7")
    ['mcdonalds', 'cafe', 'open', '24', '7']
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    kept = (c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c) and c not in "'’`´")
    return "".join(c if c.isalnum() else " " for c in kept).split()
