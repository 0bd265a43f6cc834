"""The weights that are available by name, their properties, and whether they are on this machine. Works offline.

The names come from the installed open_clip and timm. catalogue.json adds parameter counts, licences and published
zero-shot recall, with sources.
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
from crossmodal.encoders.clip_names import architecture_config, architectures, pretrained_config, tags_of
from crossmodal.encoders.hub import cached_file
from crossmodal.encoders.photos import SCALE_SUFFIX

CATALOGUE = Path(__file__).with_name("catalogue.json")
BUNDLED_LICENCES = {registry.SCENES: "apache-2.0"}
"""Licences of bundled weights. Those for scenes are trained on images that this program draws, under its licence."""

IMAGE_TOWER = "image_tower."
"""Prefix of the tensors of bundled weights that an image-only family uses."""

SEE_CARD = "see its card"


@dataclass(frozen=True)
class Entry:
    """Named weights. Unknown values are None; an unknown licence is an empty text.

    `terms` describes the permitted use, as far as it follows from the licence or the training data. `flickr30k` and
    `coco` are published zero-shot R@1 in percent, text to image and image to text. `here` is the file on this machine,
    or None.
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
        """Memory of the parameters in float32, in MB."""
        return None if self.parameters is None else max(1, round(self.parameters * 4 / 1e6))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {**vars(self), "here": str(self.here) if self.here else None, "megabytes": self.megabytes}


def entries(family: str) -> list[Entry]:
    """All named weights of a family, the bundled ones first.

    Raises:
        InputError: The family is unknown.
    """
    registry.family_of(family)
    by_name = {"clip": _clip, "timm": _timm}.get(family)
    return [*_bundled(family), *(by_name() if by_name else ())]


def terms_of(model: ModelSpec) -> str:
    """The permitted use of a model's weights, as far as it follows from the licence or the training data."""
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
    """The number of parameters in a file's tensors with a prefix, read from the file's header."""
    from safetensors import safe_open

    with safe_open(str(file), "np") as weights:
        names = [name for name in weights.keys() if name.startswith(prefix)]  # noqa: SIM118
        shapes = [weights.get_slice(name).get_shape() for name in names if not name.endswith(SCALE_SUFFIX)]
    return sum(prod(shape) for shape in shapes)


def _clip() -> Iterator[Entry]:
    known = _known()
    for architecture in architectures():
        config = architecture_config(architecture)
        for tag in tags_of(architecture):
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
    """The licence of published CLIP weights, from the first matching pattern; empty if unknown."""
    for entry in _known()["licences"]:
        if fnmatch(name, entry["names"]):
            return entry["licence"] or ""
    return ""


def _terms(licence: str) -> str:
    """The permitted use of published weights under a licence; for most licences a reference to the model card."""
    terms: str = _known()["terms"]["licences"].get(licence, SEE_CARD)
    return terms


@lru_cache(maxsize=1)
def _known() -> dict[str, Any]:
    catalogue: dict[str, Any] = json.loads(CATALOGUE.read_text("utf8"))
    return catalogue
