"""Names of backbones and their weights; `backbone` lists the forms."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from crossmodal.core.errors import InputError
from crossmodal.encoders import packages
from crossmodal.encoders.hub import cached_file, repository_file

FILE_ENDINGS = (".pth", ".pt", ".bin", ".safetensors")
FILE_NAMES = ("model.safetensors", "pytorch_model.bin")
RANDOM, PACKAGE = "random", "package"


@dataclass(frozen=True)
class BackboneName:
    """The parts of a name of weights.

    Attributes:
        architecture: A timm model, with the tag of published weights.
        layer: The layer whose output is the vector, or empty for the last features.
        file: The checkpoint, or None for random weights.
        name: The full name, with the absolute path of a local file.
    """

    architecture: str
    layer: str
    file: Path | None
    name: str


def read_name(weights: str) -> BackboneName:
    """The parts of a name of weights; downloads the checkpoint if it is not on this machine.

    Raises:
        InputError: The model is unknown, or the name has none of the forms in `backbone`.
        StateError: The checkpoint must be downloaded and can't be.
    """
    model_name, _, source = weights.partition("/")
    architecture, _, layer = model_name.partition(":")
    tagged, hub = _known(architecture)
    at_layer = f":{layer}" if layer else ""
    if source == RANDOM:
        return BackboneName(architecture, layer, None, f"{architecture}{at_layer}/{RANDOM}")
    if source == PACKAGE:
        file = packages.checkpoint_of(architecture, f"{weights} is the checkpoint of")
        return BackboneName(architecture, layer, file, f"{architecture}{at_layer}/{PACKAGE}")
    if source.endswith(FILE_ENDINGS):
        file = Path(source).resolve()
        return BackboneName(architecture, layer, file, f"{architecture}{at_layer}/{file}")
    if source:
        raise InputError(
            f"{architecture} has no weights {source!r}: use {architecture}, {architecture}/random, "
            f"or {architecture}/FILE with a file that ends in {', '.join(FILE_ENDINGS)}"
        )
    if not hub:
        raise InputError(f"the weights of {tagged} are not on the hub: download them, and use {architecture}/FILE")
    return BackboneName(tagged, layer, repository_file(tagged, hub, FILE_NAMES), f"{tagged}{at_layer}")


def resolved_file(name: str) -> Path | None:
    """The checkpoint of a `BackboneName.name`, None for random weights; imports timm only if it isn't found otherwise.

    Raises:
        InputError, StateError: As `read_name`.
    """
    model, _, source = name.partition("/")
    if source == RANDOM:
        return None
    if source and source != PACKAGE:
        return Path(source)
    tagged = model.partition(":")[0]
    if source == PACKAGE:
        return packages.checkpoint_of(tagged, f"{name} is the checkpoint of")
    return cached_file(f"timm/{tagged}/", FILE_NAMES) or read_name(name).file


def _known(architecture: str) -> tuple[str, str]:
    """The architecture with the tag of its weights, and their repository on the hub, or an empty text without one."""
    from crossmodal.encoders.torchvision_guard import prepare_torchvision

    prepare_torchvision()
    import timm

    bare = architecture.partition(".")[0]
    try:
        config = timm.get_pretrained_cfg(architecture) if timm.is_model(bare) else None
    except RuntimeError:  # no such tag
        config = None
    if config is None:
        choices = timm.list_pretrained(f"{bare}.*") if timm.is_model(bare) else timm.list_models()
        near = get_close_matches(architecture, choices, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "`python app.py -t models -m timm` lists them"
        raise InputError(f"unknown backbone {architecture!r}: {hint}")
    tagged = f"{bare}.{config.tag}" if config.tag else bare
    return tagged, str(config.hf_hub_id or "") if config.has_weights else ""
