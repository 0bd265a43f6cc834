"""A slice: the part of a collection's vectors that one node has."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.core.types import Keys

MAX_SLICES = 1024
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_FORM = re.compile(r"([1-9]\d{0,3})/([1-9]\d{0,3})")


@dataclass(frozen=True)
class Slice:
    """Slice `part`, counted from 1, of `of` slices, which together have each key once."""

    part: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Slice:
        """The slice of a text such as `2/4`.

        Raises:
            InputError: The text is not of this form, or the numbers are out of range.

        >>> Slice.parse("2/4")
        Slice(part=2, of=4)
        """
        match = _FORM.fullmatch(text)
        part, of = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= part <= of <= MAX_SLICES:
            raise InputError(f"slice {text[:40]!r}: expected I/N, as in 2/4, with I from 1 to N, up to {MAX_SLICES}")
        return cls(part, of)

    def __str__(self) -> str:
        return f"{self.part}/{self.of}"

    @property
    def is_whole(self) -> bool:
        """Whether there are no other slices."""
        return self.of == 1

    def has(self, keys: Keys) -> NDArray[np.bool_]:
        """(n,) whether each of the keys (n,) is in the slice. A store's keys never change, so nodes need not agree.

        Keys are spread by multiplication, so that documents which are indexed in turns, such as pictures and captions,
        are not separated.

        Source: Knuth 1973 (The Art of Computer Programming, volume 3, section 6.4), multiplicative hashing.

        >>> Slice(1, 2).has(np.arange(8)).tolist()
        [True, False, True, True, False, False, True, True]
        """
        spread = (keys.astype(np.uint64) * _SPREAD) >> np.uint64(32)
        mine: NDArray[np.bool_] = spread % np.uint64(self.of) == self.part - 1
        return mine


WHOLE = Slice()
