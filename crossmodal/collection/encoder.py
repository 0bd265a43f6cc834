"""Loads the encoder of a collection, in the precision of its vectors."""

from __future__ import annotations

import logging
import os
from typing import Protocol

from crossmodal.core.engine import AUTOMATIC, Engine, EngineRequest, MadeWith
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import Modality, ModelSpec
from crossmodal.encoders import engine_choice, registry
from crossmodal.encoders.engine_choice import Say

log = logging.getLogger(__name__)


class EncodedBy(Protocol):
    """The model and arithmetic of vectors: those of a collection, or of exported files (`transfer.Origin`)."""

    @property
    def model(self) -> ModelSpec:
        """The model of the vectors."""
        ...

    @property
    def made_with(self) -> MadeWith:
        """The arithmetic of the vectors."""
        ...


def load_encoder(
    collection: EncodedBy,
    towers: tuple[Modality, ...],
    threads: int | None = None,
    request: EngineRequest = AUTOMATIC,
    say: Say = log.warning,
) -> Encoder:
    """The encoder for a collection with only these towers, by the engine that `engine_of` returns.

    Raises:
        InputError: As `engine_choice.choose`.
        StateError: The weights have changed since the collection was made.
    """
    return registry.load(collection.model, towers, threads, engine_of(collection, request, say))


def prepared_encoder(
    collection: EncodedBy,
    towers: tuple[Modality, ...],
    threads: int | None = None,
    request: EngineRequest = AUTOMATIC,
    say: Say = log.warning,
) -> Encoder:
    """As `load_encoder`, but first converts the model if it has not been converted, which imports torch."""
    # Read when torch is imported: spinning idle threads make encoding many times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    engine_choice.prepare(collection.model, request, collection.made_with, say)
    return load_encoder(collection, towers, threads, request, say)


def engine_of(collection: EncodedBy, request: EngineRequest = AUTOMATIC, say: Say = log.warning) -> Engine:
    """The engine of a collection's encoder on this machine; see `engine_choice.choose`.

    Raises:
        InputError: As `engine_choice.choose`.
    """
    return engine_choice.choose(collection.model, request, collection.made_with, say)
