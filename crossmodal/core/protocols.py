"""The protocol that every encoder implements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from crossmodal.core.types import ModelSpec, Pixels, Vectors


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
