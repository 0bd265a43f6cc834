"""download: the files of weights by name, fetched ahead of a machine without a network or of an image's build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmodal.core.settings import Settings
from crossmodal.encoders import registry
from crossmodal.encoders.weights import sha256


@dataclass(frozen=True)
class Fetched:
    """A file on this machine."""

    path: Path
    sha256: str
    n_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {"path": str(self.path), "sha256": self.sha256, "bytes": self.n_bytes}


def run(settings: Settings) -> list[Fetched]:
    """Fetches what the weights need, and their tokenizer where it is not part of the program.

    Files that are in the cache already are not fetched again.

    Raises:
        InputError: Unknown weights, or a family that has none to download.
        StateError: They can't be fetched.
    """
    weights = settings.weights or registry.family_of(settings.model).larger_weights or registry.SCENES
    return [Fetched(path, sha256(path), path.stat().st_size) for path in registry.fetch(settings.model, weights)]
