"""The check both encoders make: the pod in the Flow is of the collection's model family."""

from crossmodal.core.errors import StateError
from crossmodal.core.types import ModelSpec


def check_family(model: str, spec: ModelSpec) -> None:
    """Refuses a pod of another family than the collection was made with."""
    if model != spec.family:
        raise StateError(f"the pod is for {model!r}, the collection was indexed with {spec}: use `-m {spec.family}`")
