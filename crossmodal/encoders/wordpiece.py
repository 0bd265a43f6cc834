"""BERT's uncased WordPiece tokenizer: texts to token ids.

A test compares the ids with those of the reference implementation, the package `tokenizers`.

Source: Devlin et al. 2019 (BERT), `BasicTokenizer` and `WordpieceTokenizer` of its published code.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
MAX_WORD = 100
"""A longer word is unknown, as in BERT."""

CJK = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
       (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))  # fmt: skip

_PLAIN_WORDS = re.compile("[a-z0-9]+|[^ a-z0-9]")


class WordPiece:
    """Splits words, lower-cased and without accents, into the longest pieces in the vocabulary."""

    def __init__(self, vocabulary: Sequence[str], context_length: int):
        """`vocabulary` is in the order of ids, [PAD] first; `context_length` includes [CLS] and [SEP]."""
        self.ids = {piece: number for number, piece in enumerate(vocabulary)}
        self.context_length = context_length
        self._pieces = lru_cache(maxsize=20_000)(self._split)

    @classmethod
    def read(cls, path: Path, context_length: int) -> WordPiece:
        """The tokenizer of a vocabulary file with one piece per line."""
        return cls(path.read_text("utf8").rstrip("\n").split("\n"), context_length)

    def encode(self, text: str) -> list[int]:
        """The ids of a text between [CLS] and [SEP], at most `context_length`."""
        pieces = [piece for word in words(text) for piece in self._pieces(word)]
        return [self.ids[START], *pieces[: self.context_length - 2], self.ids[END]]

    @staticmethod
    def padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """The ids as an array (n, longest), padded with 0."""
        ids = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
        return ids

    def known_share(self, texts: Iterable[str]) -> tuple[int, float]:
        """The number of words, and the share of single pieces of the vocabulary: over 0.9 in its language."""
        all_pieces = [self._pieces(word) for text in texts for word in words(text) if word.isalpha()]
        known = sum(len(pieces) == 1 and pieces[0] != self.ids[UNKNOWN] for pieces in all_pieces)
        return len(all_pieces), known / len(all_pieces) if all_pieces else 1.0

    def _split(self, word: str) -> tuple[int, ...]:
        if len(word) > MAX_WORD:
            return (self.ids[UNKNOWN],)
        pieces, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            end = len(word)
            while end > start and prefix + word[start:end] not in self.ids:
                end -= 1
            if end == start:
                return (self.ids[UNKNOWN],)
            pieces.append(self.ids[prefix + word[start:end]])
            start = end
        return tuple(pieces)


def words(text: str) -> list[str]:
    """The words of a text, lower-cased, without accents and control characters; punctuation and CJK are separate words.

    Example:
        >>> words("A dog's Café!")
        ['a', 'dog', "'", 's', 'cafe', '!']
    """
    if text.isascii() and text.isprintable():
        return _PLAIN_WORDS.findall(text.lower())
    cleaned = "".join(_spaced(text))
    plain = (sign for sign in unicodedata.normalize("NFD", cleaned) if unicodedata.category(sign) != "Mn")
    lowered = "".join(plain).lower()
    return "".join(f" {sign} " if _is_punctuation(sign) else sign for sign in lowered).split()


def _spaced(text: str) -> Iterator[str]:
    for sign in text:
        code = ord(sign)
        if sign in "\t\n\r" or unicodedata.category(sign) == "Zs":
            yield " "
        elif code in (0, 0xFFFD) or unicodedata.category(sign).startswith("C"):
            continue
        elif any(low <= code <= high for low, high in CJK):
            yield f" {sign} "
        else:
            yield sign


def _is_punctuation(sign: str) -> bool:
    code = ord(sign)
    ascii_signs = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_signs or unicodedata.category(sign).startswith("P")
