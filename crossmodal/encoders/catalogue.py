"""What models can be had by name, what is known of each, and which are on this machine. Opens no connection.

The names are those of the installed open_clip and timm. What they don't say stands in catalogue.json, with its
sources: numbers of parameters, licences, and published zero-shot recall.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from crossmodal.core.types import ModelSpec
from crossmodal.encoders import registry
from crossmodal.encoders.hub import cached_file
from crossmodal.encoders.photos import SCALE_SUFFIX

CATALOGUE = Path(__file__).with_name("catalogue.json")
BUNDLED_LICENCES = {registry.SCENES: "apache-2.0"}
"""Licences of bundled weights: those for scenes are trained on images that this program draws, and have its licence."""

IMAGE_TOWER = "image_tower."
"""Prefix of the tensors that an image-only family uses of bundled weights."""

SEE_CARD = "see its card"


@dataclass(frozen=True)
class Entry:
    """Weights by name. What is not known is None, or an empty text for the licence.

    `terms` says in words what the weights may be used for, as far as their licence or their training data tells.
    `flickr30k` and `coco` are published zero-shot R@1 in percent, text to image and image to text.
    `here` is the file on this machine, or None.
    """

    family: str
    weights: str
    size_px: int
    dim: int | None
    parameters: int | None
    licence: str
    flickr30k: tuple[float, float] | None = None
    coco: tuple[float, float] | None = None
    here: Path | None = None
    terms: str = SEE_CARD

    @property
    def megabytes(self) -> int | None:
        """What the parameters take in memory, as float32, which is what they are run in."""
        return None if self.parameters is None else max(1, round(self.parameters * 4 / 1e6))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {**vars(self), "here": str(self.here) if self.here else None, "megabytes": self.megabytes}


def entries(family: str) -> list[Entry]:
    """All weights of a family that can be had by name, the bundled ones first.

    Raises:
        InputError: An unknown family.
    """
    registry.family_of(family)
    by_name = {"clip": _clip, "timm": _timm}.get(family)
    return [*_bundled(family), *(by_name() if by_name else ())]


def terms_of(model: ModelSpec) -> str:
    """What a model's weights may be used for, as far as their licence or their training data tells."""
    spec = model.encoder
    bundled: str | None = _known()["terms"]["bundled"].get(spec.weights)
    return bundled or _terms(_licence(spec.weights) if spec.family == "clip" else "")


def _bundled(family: str) -> Iterator[Entry]:
    for name in registry.family_of(family).bundled:
        spec = registry.resolve(family, name)
        (file,) = registry.bundled_folder(family, name).glob("*.safetensors")
        licence, terms = BUNDLED_LICENCES.get(name, ""), _known()["terms"]["bundled"][name]
        size_px, n = spec.preprocessing.size_px, _parameters(file, "" if "text" in spec.modalities else IMAGE_TOWER)
        yield Entry(family, spec.weights, size_px, spec.dim, n, licence, here=file, terms=terms)


def _parameters(file: Path, prefix: str = "") -> int:
    """How many numbers the tensors with this prefix have in a file of weights, from its header."""
    from safetensors import safe_open

    with safe_open(str(file), "np") as weights:
        names = [name for name in weights.keys() if name.startswith(prefix)]  # noqa: SIM118
        shapes = [weights.get_slice(name).get_shape() for name in names if not name.endswith(SCALE_SUFFIX)]
    return sum(prod(shape) for shape in shapes)


def _clip() -> Iterator[Entry]:
    from crossmodal.encoders.clip_names import architecture_config, pretrained_config
    from crossmodal.encoders.torchvision_guard import prepare_torchvision

    prepare_torchvision()
    import open_clip

    known = _known()

    for architecture in open_clip.list_models():
        config = architecture_config(architecture)
        for tag in open_clip.list_pretrained_tags_by_model(architecture):
            name = f"{architecture}/{tag}"
            recall = known["recall"].get(name)
            yield Entry(
                "clip",
                name,
                config["vision_cfg"].get("image_size", 224),
                config["embed_dim"],
                known["clip"].get(architecture),
                _licence(name),
                (recall[0], recall[1]) if recall else None,
                (recall[2], recall[3]) if recall else None,
                cached_file(pretrained_config(architecture, tag)["hf_hub"]),
                _terms(_licence(name)),
            )


def _timm() -> Iterator[Entry]:
    from crossmodal.encoders.backbone_name import FILE_NAMES
    from crossmodal.encoders.torchvision_guard import prepare_torchvision

    prepare_torchvision()
    import timm

    known = _known()["timm"]
    for name in timm.list_pretrained():
        config: Any = timm.get_pretrained_cfg(name)
        parameters, dim = known.get(name.partition(".")[0], (None, None))
        here = cached_file(f"{config.hf_hub_id}/", FILE_NAMES) if config.hf_hub_id else None
        licence = str(config.license or "")
        yield Entry("timm", name, config.input_size[1], dim, parameters, licence, here=here, terms=_terms(licence))


def _licence(name: str) -> str:
    """The licence of published CLIP weights, of the first pattern that fits; empty where none is known."""
    for entry in _known()["licences"]:
        if fnmatch(name, entry["names"]):
            return entry["licence"] or ""
    return ""


def _terms(licence: str) -> str:
    """What a licence of published weights says of their use; most leave it to the model's card."""
    found: str = _known()["terms"]["licences"].get(licence, SEE_CARD)
    return found


@lru_cache(maxsize=1)
def _known() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CATALOGUE.read_text("utf8"))
    return found
