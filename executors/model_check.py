"""Checks that the pod of an encoder is for the model family of the collection."""

from crossmodal.core.errors import StateError
from crossmodal.core.types import ModelSpec


def check_family(model: str, spec: ModelSpec) -> None:
    """Raises StateError if the pod is for another model family than the collection's."""
    if model != spec.family:
        raise StateError(f"the pod is for {model!r}, the collection was indexed with {spec}: use `-m {spec.family}`")
