"""The model families that exist and what each of them can do, declared in one list.

A `Family` is data: reading it imports neither numpy nor torch nor the family's module. No code compares names of
families; it reads a capability of the `Family`, or `modalities` and `has_lexical` of a `ModelSpec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossmodal.core.engine import Precision
    from crossmodal.core.types import Modality


@dataclass(frozen=True)
class Family:
    """The contract of a model family.

    To add a family, write a module with the functions of `crossmodal.encoders.registry.FamilyModule`, and add an entry
    to `FAMILIES`. A collection, the Flow, the service and the command line then work with it; only training needs a
    recipe of its own (`crossmodal.training`).

    Attributes:
        name: What `-m` takes and what manifests store as `model.family`. It must never change.
        module: Dotted name of the module, which is imported on first use.
        modalities: The modalities that its encoders encode. Without `text`, collections hold images only, captions
            are left out, and only images can be queries.
        has_lexical: Whether its models weight terms on top of the vectors of another encoder (`ModelSpec.base`), so
            that collections have a term index and a caption index beside the vector indexes.
        is_open_vocabulary: Whether its published weights know phrases of all kinds, so that a collection without
            captions can be calibrated with general phrases. Weights for scenes never do.
        cpu_precisions: The arithmetic that its encoders can run in with torch on the CPU; on GPUs all families run in
            fp32, bf16 and fp16.
        bundled: Names of the weights that come with the program, and their folders in `crossmodal/encoders/bundled`.
            Resolving them neither downloads anything nor imports torch.
        default_weights: The weights for photographs, or None if the weights must always be named.
        no_default: The message of the `InputError` if there are no default weights for a data set.
        larger_weights: Weights to download that know more than the bundled ones: small and openly licensed. None if
            the family has no weights to download by name; its module then needs no `fetch`.
    """

    name: str
    module: str
    modalities: tuple[Modality, ...] = ("image", "text")
    has_lexical: bool = False
    is_open_vocabulary: bool = False
    cpu_precisions: tuple[Precision, ...] = ("fp32",)
    bundled: Mapping[str, str] = field(default_factory=dict)
    default_weights: str | None = None
    no_default: str = ""
    larger_weights: str | None = None


_ALL = (
    Family(
        "clip",
        "crossmodal.encoders.clip",
        is_open_vocabulary=True,
        cpu_precisions=("fp32", "bf16"),
        bundled={"scenes": "clip-scenes", "photos": "clip-photos"},
        default_weights="photos",
        larger_weights="ViT-B-32/laion2b_s34b_b79k",
    ),
    Family(
        "vse",
        "crossmodal.encoders.vse",
        bundled={"scenes": "vse-scenes"},
        no_default="the bundled VSE++ knows scenes only, and no other can be downloaded by name: name a published "
        "checkpoint or the folder of your own training with --weights (`--weights scenes` uses the bundled one)",
    ),
    Family(
        "timm",
        "crossmodal.encoders.backbone",
        modalities=("image",),
        bundled={"photos": "clip-photos"},
        default_weights="photos",
        larger_weights="resnet101",
    ),
    Family(
        "sparse",
        "crossmodal.lexical.encoder",
        has_lexical=True,
        no_default="-m sparse needs a model: make one with `-t train -m sparse`, and name its folder with --weights",
    ),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}
"""Every family by its name, in the order in which they are listed."""


def modalities_of(name: str) -> tuple[Modality, ...]:
    """The modalities of a family by name; both for a family that this version does not know."""
    family = FAMILIES.get(name)
    return family.modalities if family else ("image", "text")
