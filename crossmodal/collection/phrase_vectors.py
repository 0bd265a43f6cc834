"""The vectors of the general phrases, which come with the program for the weights `photos`.

`python -m crossmodal.collection.phrase_vectors` writes them again after these weights or the phrases have changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from crossmodal.core.types import ModelSpec, Vectors
from crossmodal.encoders import registry
from crossmodal.relevance.phrases import general_phrases

FILE = Path(__file__).with_name("phrase_vectors.npz")
"""`vectors` (n, dim) float16, and `made_from`, the result of `_made_from`."""


def general_vectors(model: ModelSpec, encode: Callable[[Sequence[str]], Vectors]) -> Vectors:
    """Unit vectors (n, dim) of the general phrases: of the file if they are of this model, else from `encode`.

    Loading the text tower of `photos` and encoding the phrases takes as long as encoding 300 pictures.
    """
    with np.load(FILE) as stored:
        if stored["made_from"] == _made_from(model):
            vectors: Vectors = stored["vectors"].astype(np.float32)
            return vectors
    return encode(general_phrases())


def _made_from(model: ModelSpec) -> str:
    """The hashes of the weights and of the phrases."""
    phrases = hashlib.sha256("\n".join(general_phrases()).encode()).hexdigest()
    return f"{model.encoder.weights_hash} {phrases}"


def write() -> None:
    """Writes the vectors of the weights `photos`."""
    model = registry.resolve("clip", registry.PHOTOS)
    vectors = registry.load(model, ("text",)).encode_texts(general_phrases())
    np.savez_compressed(FILE, vectors=vectors.astype(np.float16), made_from=_made_from(model))


if __name__ == "__main__":
    write()
