"""The seams: what an encoder and a vector index must be able to do to take part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Keys, ModelSpec, Pixels, Vectors


class Encoder(Protocol):
    """Turns pictures and texts into unit vectors of one space."""

    spec: ModelSpec

    def encode_images(self, pixels: Pixels) -> Vectors:
        """Encodes (n, size_px, size_px, 3) uint8 RGB to (n, dim) float32, rows of length 1, in order."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encodes n texts to (n, dim) float32, rows of length 1, in order."""
        ...

    def unread(self, text: str) -> str:
        """The end of a text that is beyond the model's context and changes nothing, empty where all is read."""
        ...


class VectorIndex(Protocol):
    """Nearest neighbours by inner product over int64 keys."""

    def __len__(self) -> int: ...

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Adds vectors; a key that is there already is replaced."""
        ...

    def search(self, queries: Vectors, k: int) -> tuple[NDArray[np.float32], Keys]:
        """The k best of each query: scores (n, k) falling, keys (n, k), -1 where there are fewer."""
        ...

    def save(self, path: Path) -> None:
        """Writes the index to a file, all or nothing."""
        ...
