"""The vocabulary of a VSE++ model: words with their ids."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.core.files import write_atomically

PAD, START, END, UNKNOWN = SPECIAL_WORDS = ("<pad>", "<start>", "<end>", "<unk>")
PAD_ID, START_ID, END_ID, UNKNOWN_ID = range(4)
MAX_WORDS = 200
"""Limit of the words of a text, because the time of a recurrent network grows with each."""

# Numbers with decimal points; "do" and "n't"; "'s" and similar; words with hyphens; any other character alone.
_TOKEN = re.compile(
    r"\d+(?:[.,]\d+)+"
    r"|\w+?(?=n't\b)|n't\b"
    r"|'(?:s|re|ve|ll|d|m)\b"
    r"|\w+(?:-\w+)*"
    r"|[^\w\s]"
)


def tokens(text: str) -> list[str]:
    """The word tokens of a text, lower-cased, in order.

    Approximates nltk's `word_tokenize`, which the published models were trained with and which needs a download.
    Results are equal on ordinary captions (`man's` is `man` and `'s`, a full stop is a word), but not on quotation
    marks, abbreviations and slashes.

    >>> tokens("A man's T-shirt isn't red, it's 3.5 cm.")
    ['a', 'man', "'s", 't-shirt', 'is', "n't", 'red', ',', 'it', "'s", '3.5', 'cm', '.']
    """
    return _TOKEN.findall(text.lower().replace("’", "'"))


class Vocabulary:
    """Words and their ids; `<pad>`, `<start>`, `<end>` and `<unk>` have the ids 0 to 3."""

    context_length = MAX_WORDS + 2
    """Most tokens of a text, with those of `<start>` and `<end>`."""

    def __init__(self, words: Iterable[str]) -> None:
        """Stores the words after the four special ones, in the order of their ids.

        Raises:
            ValueError: A word occurs twice.
        """
        self.words: tuple[str, ...] = (*SPECIAL_WORDS, *words)
        self._ids = {word: i for i, word in enumerate(self.words)}
        if len(self._ids) != len(self.words):
            repeated = [word for word, count in Counter(self.words).items() if count > 1]
            raise ValueError(f"words that occur twice: {', '.join(map(repr, repeated[:5]))}")

    @classmethod
    def build(cls, captions: Iterable[str], min_count: int = 4) -> Vocabulary:
        """A vocabulary of words that occur at least `min_count` times, by falling frequency, then alphabetically.

        Source: Faghri et al. 2017 (VSE++). Their code also counts the captions of the test split; pass the train split
        only.
        """
        counts = Counter(token for caption in captions for token in tokens(caption))
        kept = [word for word, count in counts.items() if count >= min_count]
        return cls(sorted(kept, key=lambda word: (-counts[word], word)))

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, text: str) -> list[int]:
        """The ids of at most `MAX_WORDS` words of a text, between those of `<start>` and `<end>`."""
        ids = (self._ids.get(word, UNKNOWN_ID) for word in tokens(text)[:MAX_WORDS])
        return [START_ID, *ids, END_ID]

    def encode_batch(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The ids (n, longest) int64 of n >= 1 texts, padded with 0, and their lengths (n,) int64."""
        rows = [self.encode(text) for text in texts]
        return self.padded(rows), np.array([len(row) for row in rows], np.int64)

    @staticmethod
    def padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """The ids of n >= 1 texts as an array (n, longest), padded with 0."""
        ids = np.full((len(rows), max(map(len, rows))), PAD_ID, np.int64)
        for row, values in zip(ids, rows, strict=True):
            row[: len(values)] = values
        return ids

    def save(self, path: Path) -> None:
        """Atomically writes `{"words": [...]}`, all words in the order of their ids, as JSON."""
        write_atomically(path, (json.dumps({"words": self.words}, indent=0) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """The vocabulary in a file that `save` wrote.

        Raises:
            InputError: The file can't be read, or is damaged.
        """
        try:
            words = json.loads(path.read_text("utf8"))["words"]
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise ValueError("its words are not a list of texts")
            if tuple(words[:4]) != SPECIAL_WORDS:
                raise ValueError(f"it starts with {words[:4]}, not with {list(SPECIAL_WORDS)}")
            return cls(words[4:])
        except OSError as error:
            raise InputError(f"the vocabulary {path} can't be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"the vocabulary {path} is damaged: {error}") from error
