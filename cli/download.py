"""download: named weights, fetched and converted in advance for offline machines and container images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.printing import say_aside
from crossmodal.core.engine import AUTOMATIC, Engine
from crossmodal.core.settings import Settings
from crossmodal.encoders import converted, engine_choice, registry
from crossmodal.encoders.weights import sha256
from crossmodal.engines.agreement import Agreement


@dataclass(frozen=True)
class Fetched:
    """A file on this machine."""

    path: Path
    sha256: str
    n_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {"path": str(self.path), "sha256": self.sha256, "bytes": self.n_bytes}


@dataclass(frozen=True)
class Downloaded:
    """The files of a model; and with `compiles` its engine on this machine, and its agreement with float32 in torch."""

    files: list[Fetched]
    engine: Engine | None = None
    agreement: Agreement | None = None


def run(settings: Settings, *, compiles: bool = False) -> Downloaded:
    """Fetches the files of the weights, and their tokenizer if it is not part of the program.

    Files in the cache are not fetched again.

    Args:
        settings: The family and the weights; by default the family's larger weights.
        compiles: Whether to convert the model for the engine of a new collection on this machine. Without weights to
            download, the files are then an empty list.

    Raises:
        InputError: Unknown weights, or a family without weights to download.
        StateError: A file can't be fetched.
    """
    family = registry.family_of(settings.model)
    weights = settings.weights or family.larger_weights or registry.SCENES
    can_fetch = family.larger_weights is not None and not _is_own(weights)
    paths = registry.fetch(settings.model, weights) if can_fetch or not compiles else []
    files = [Fetched(path, sha256(path), path.stat().st_size) for path in paths]
    if not compiles:
        return Downloaded(files)
    spec = registry.resolve(settings.model, weights)
    engine = engine_choice.engine_of_new(spec, AUTOMATIC, say_aside)
    agreement = converted.agreement_of(spec.encoder, engine.precision) if engine.backend == "openvino" else None
    return Downloaded(files, engine, agreement)


def _is_own(weights: str) -> bool:
    """Whether weights are files of the user's, or random, and not downloaded by name."""
    return weights.endswith("/random") or Path(weights).exists() or Path(weights.partition("/")[2]).is_file()
