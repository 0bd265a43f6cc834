"""CLIP's byte-pair tokenizer: texts to token ids, without importing torch.

Returns the ids of `open_clip.tokenizer.SimpleTokenizer` of open_clip 3.3 with its default cleaning; a test compares
both. It is implemented here because that module imports torch, which takes longer than a whole query. The packages
ftfy and regex are imported for texts with other characters than printable ASCII, or with "&".

Source: Sennrich et al. 2016, arXiv 1508.07909, algorithm 1; Radford et al. 2021 (CLIP), arXiv 2103.00020.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.encoders.packages import package_folder

CONTEXT_LENGTH = 77
"""Context length of a configuration that states none."""

START, END = "<start_of_text>", "<end_of_text>"
WORD_END = "</w>"
N_MERGES = 49152 - 256 - 2
"""Merges that are read of a file; OpenAI's file has more."""

_VISIBLE = (*range(33, 127), *range(161, 173), *range(174, 256))
_SIGNS = {byte: chr(byte) for byte in _VISIBLE}
_SIGNS |= {byte: chr(256 + place) for place, byte in enumerate(sorted(set(range(256)) - set(_VISIBLE)))}
"""For each byte a printable character, which stands for it in the merges; in the order of the bytes' ids."""

_PLAIN_WORDS = re.compile(rf"{START}|{END}|'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+")
_WORDS = rf"{START}|{END}|'s|'t|'re|'ve|'m|'ll|'d|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+"


class ClipBpe:
    """Splits lower-cased words into byte pairs by the rank of their merges."""

    def __init__(self, merges: Path, context_length: int = CONTEXT_LENGTH) -> None:
        """Reads the gzipped merges, a line each after the first; `context_length` includes start and end token.

        Raises:
            InputError: The file is missing or damaged.
        """
        lines = _read_lines(merges)
        self.context_length = context_length
        signs = _SIGNS.values()
        self._ranks = dict(zip(lines, count()))
        pieces = "\n".join(lines).replace(" ", "").split("\n")
        self._ids = dict(zip([*signs, *(sign + WORD_END for sign in signs), *pieces, START, END], count()))
        self._pieces = lru_cache(maxsize=20_000)(self._split)

    def encode(self, text: str) -> list[int]:
        """The ids of a text between those of start and end, at most `context_length`."""
        ids = (number for word in words(text) for number in self._pieces(word))
        return [self._ids[START], *islice(ids, self.context_length - 2), self._ids[END]]

    @staticmethod
    def padded(rows: Sequence[Sequence[int]], length: int | None = None) -> NDArray[np.int64]:
        """The ids as an array (n, length), padded with 0; None means the longest row's length."""
        ids = np.zeros((len(rows), max(map(len, rows), default=0) if length is None else length), np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
        return ids

    def _split(self, word: str) -> tuple[int, ...]:
        if word in (START, END):
            return (self._ids[word],)
        pieces = [_SIGNS[byte] for byte in word.encode()]
        pieces[-1] += WORD_END
        while len(pieces) > 1:
            best = min(pairwise(pieces), key=lambda pair: self._ranks.get(" ".join(pair), N_MERGES))
            if " ".join(best) not in self._ranks:
                break
            pieces = list(_merged(pieces, *best))
        return tuple(self._ids[piece] for piece in pieces)


def bpe_of(text_config: dict[str, Any], merges: Path | None = None) -> ClipBpe | None:
    """The tokenizer of open_clip's `text_cfg`, or None if it is one that only open_clip has.

    Those are the tokenizers of the model hub (`hf_tokenizer_name`), and any with `tokenizer_kwargs`: another cleaning,
    additional special tokens, or a `reduction_mask`, which drops random tokens.

    Args:
        text_config: The configuration of the text tower.
        merges: A file of merges instead of OpenAI's; the `tokenizer_kwargs` do not apply to it.

    Raises:
        InputError: The file is missing or damaged.
    """
    context_length = text_config.get("context_length", CONTEXT_LENGTH)
    if merges is not None:
        return ClipBpe(merges, context_length)
    if text_config.get("hf_tokenizer_name") or text_config.get("tokenizer_kwargs"):
        return None
    return ClipBpe(openai_merges(), context_length)


def openai_merges() -> Path:
    """The file of OpenAI's merges, in the package open_clip_torch.

    Raises:
        InputError: The package is not installed.
    """
    return package_folder("open_clip", "open_clip_torch", "CLIP needs") / "bpe_simple_vocab_16e6.txt.gz"


def words(text: str) -> list[str]:
    """The cleaned words of a text: lower-cased letters, single digits, and other characters.

    >>> words("Two dogs' ball: it's <b>No.12</b>")
    ['two', 'dogs', "'", 'ball', ':', 'it', "'s", '<', 'b', '>', 'no', '.', '1', '2', '</', 'b', '>']
    """
    if text.isascii() and text.isprintable() and "&" not in text:  # ftfy and html change none of these
        return _PLAIN_WORDS.findall(text.lower())
    import html

    import ftfy
    import regex

    cleaned = html.unescape(html.unescape(ftfy.fix_text(text)))
    found: list[str] = regex.findall(_WORDS, " ".join(cleaned.split()).lower(), regex.IGNORECASE)
    return found


def _merged(pieces: Sequence[str], first: str, second: str) -> Iterator[str]:
    """The pieces with each `first` that precedes a `second` joined with it, from the left."""
    place = 0
    while place < len(pieces):
        is_pair = pieces[place] == first and pieces[place + 1 : place + 2] == [second]
        yield first + second if is_pair else pieces[place]
        place += 2 if is_pair else 1


def _read_lines(merges: Path) -> list[str]:
    """The lines of the merges that are used, each with two pieces."""
    content = ""
    try:
        with gzip.open(merges, "rt", encoding="utf8", newline="\n") as file:
            while content.count("\n") <= N_MERGES and (block := file.read(1 << 19)):
                content += block
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"the merges {merges} can't be read or are damaged: {error}") from error
    return content.split("\n")[1 : N_MERGES + 1]
