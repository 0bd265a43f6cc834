"""The model family `sparse`: a learned sparse model with its dense encoder, `-m sparse --weights FOLDER`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from crossmodal.core.engine import TORCH, Engine
from crossmodal.core.errors import InputError
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import MODALITIES, Modality, ModelSpec, Pixels, Vectors
from crossmodal.encoders.weights import check_unchanged, sha256
from crossmodal.lexical.model import (
    BY_VECTOR,
    CONFIG_NAME,
    FAMILY,
    HEADS_NAME,
    TERMS_NAME,
    SparseModel,
    read_config,
    spoken_part,
)


class SparseEncoder:
    """The dense encoder of a sparse model, which ignores weights and words to avoid in queries."""

    def __init__(self, spec: ModelSpec, base: Encoder, needs_text_vectors: bool) -> None:
        """Stores the dense encoder, and whether a lexical search needs the dense vectors of queries."""
        self.spec, self.base, self.needs_text_vectors = spec, base, needs_text_vectors

    def encode_images(self, pixels: Pixels) -> Vectors:
        """As the dense encoder."""
        return self.base.encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As the dense encoder."""
        return self.base.encode_texts(texts)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """As `encode_texts`, but ignores weights and words to avoid: `dog^2 -cat` is encoded as `dog`."""
        return self.base.encode_texts([spoken_part(text) for text in texts])

    def unread(self, text: str) -> str:
        """As the dense encoder."""
        return self.base.unread(text)


def resolve(weights: str) -> ModelSpec:
    """The spec of a folder that training wrote; dimension and preprocessing are those of the dense encoder.

    Raises:
        InputError: The folder is not a sparse model, or its dense encoder encodes images only.
        StateError: A file is missing or damaged.
    """
    folder = Path(weights).expanduser().resolve()
    config, _ = read_config(folder)
    base = config.base
    if "text" not in base.modalities:
        raise InputError(
            f"{folder} is a sparse model on {base}, which encodes images only: it can be evaluated but not used for "
            "indexing; train one on an encoder that also encodes texts"
        )
    digest = hashlib.sha256("".join(sha256(folder / name) for name in (CONFIG_NAME, TERMS_NAME, HEADS_NAME)).encode())
    return ModelSpec(FAMILY, str(folder), digest.hexdigest(), base.dim, base.preprocessing, base)


def load(
    spec: ModelSpec,
    towers: tuple[Modality, ...] = MODALITIES,
    threads: int | None = None,
    engine: Engine = TORCH,
) -> SparseEncoder:
    """The dense encoder of a spec made by `resolve`, `load_model` returns the sparse model.

    Raises:
        StateError: The folder or its dense encoder has changed.
    """
    from crossmodal.encoders import registry

    check_unchanged(spec, resolve(spec.weights).weights_hash)
    assert spec.base is not None
    config, _ = read_config(Path(spec.weights))
    return SparseEncoder(spec, registry.load(spec.base, towers, threads, engine), config.query in BY_VECTOR)


def load_model(spec: ModelSpec) -> SparseModel:
    """The sparse model of a spec made by `resolve`.

    Raises:
        StateError: The folder has changed.
    """
    check_unchanged(spec, resolve(spec.weights).weights_hash)
    return SparseModel.load(Path(spec.weights))
