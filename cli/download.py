"""download: the files of named weights, fetched in advance for offline machines and container images."""

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
    """Fetches the files of the weights, and their tokenizer if it is not part of the program.

    Files in the cache are not fetched again.

    Raises:
        InputError: Unknown weights, or a family without weights to download.
        StateError: A file can't be fetched.
    """
    weights = settings.weights or registry.family_of(settings.model).larger_weights or registry.SCENES
    return [Fetched(path, sha256(path), path.stat().st_size) for path in registry.fetch(settings.model, weights)]
