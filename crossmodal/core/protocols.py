"""Protocols that every encoder and every vector index implements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Keys, ModelSpec, Pixels, Vectors


class Encoder(Protocol):
    """Encodes pictures and texts as unit vectors in one embedding space."""

    spec: ModelSpec

    def encode_images(self, pixels: Pixels) -> Vectors:
        """Encodes (n, size_px, size_px, 3) uint8 RGB to (n, dim) float32 with L2-normalised rows, in input order."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encodes n texts to (n, dim) float32 with L2-normalised rows, in input order."""
        ...

    def unread(self, text: str) -> str:
        """The end of a text that the model truncates; empty if the whole text fits its context length."""
        ...


class VectorIndex(Protocol):
    """Nearest-neighbour search by inner product; vectors are identified by int64 keys."""

    def __len__(self) -> int: ...

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Adds vectors; replaces the vector of a key that exists."""
        ...

    def search(self, queries: Vectors, k: int) -> tuple[NDArray[np.float32], Keys]:
        """The k best matches of each query: scores (n, k), descending, and keys (n, k), padded with -1."""
        ...

    def save(self, path: Path) -> None:
        """Writes the index to a file atomically."""
        ...
