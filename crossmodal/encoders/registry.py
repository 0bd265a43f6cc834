"""Which model families there are, and how a name of weights becomes a spec and an encoder.

A family is a module with two functions: `resolve(weights) -> ModelSpec` says what a name stands for, without
loading more than it must; `load(spec, towers, threads) -> Encoder` makes the encoder and checks that the
weights are still the ones of the spec.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

from crossmodal.core.errors import InputError
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import MODALITIES, Modality, ModelSpec, Precision

FAMILIES: dict[str, str] = {
    "clip": "crossmodal.encoders.clip",
    "vse": "crossmodal.encoders.vse",
    "timm": "crossmodal.encoders.backbone",
    "sparse": "crossmodal.lexical.model",
}

IMAGE_ONLY = frozenset({"timm"})
"""Families without a text tower: their collections hold pictures only, searched with pictures."""

BUNDLED = "scenes"
"""The name of the small weights that come with the program and know scenes."""

PHOTOS = "photos"
"""The name of the weights that come with the program and know photographs."""

BUNDLED_NAMES = frozenset({BUNDLED, PHOTOS})
"""Names of weights that come with the program: `resolve` neither downloads anything for them nor imports torch."""

DEFAULT_WEIGHTS = {"clip": PHOTOS, "timm": PHOTOS}
"""What each family uses on photographs."""

LARGER_WEIGHTS = {"clip": "ViT-B-32/laion2b_s34b_b79k", "timm": "resnet101"}
"""Weights of each family that know more than the bundled ones, to be downloaded: small, openly licensed."""


class Family(Protocol):
    """What a family's module offers."""

    def resolve(self, weights: str) -> ModelSpec:
        """What a name of weights stands for."""
        ...

    def load(self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None) -> Encoder:
        """The encoder of a spec."""
        ...


def family_of(name: str) -> Family:
    """The module of a family.

    Raises:
        InputError: An unknown family; the known ones are named.
    """
    if name not in FAMILIES:
        raise InputError(f"unknown model {name!r}: choose one of {', '.join(FAMILIES)}")
    return importlib.import_module(FAMILIES[name])


def default_weights(family: str, data_set: str) -> str:
    """The weights a family uses on a data set when none are named.

    Raises:
        InputError: The family has none that would do.
    """
    family_of(family)
    if family == "sparse":
        raise InputError(
            "-m sparse needs a model: make one with `-t train -m sparse`, and name its folder with --weights"
        )
    if data_set == "scenes" and family not in IMAGE_ONLY:
        return BUNDLED
    if family == "vse":
        raise InputError(
            "the VSE++ that comes with the program knows scenes only, and no other can be fetched by name: name a "
            "published checkpoint or your own training's folder with --weights (or `--weights scenes` all the same)"
        )
    return DEFAULT_WEIGHTS[family]


def resolve(family: str, weights: str) -> ModelSpec:
    """What `-m family --weights weights` stands for on this machine, downloaded if it has to be.

    Raises:
        InputError: An unknown family, architecture, tag or file.
        StateError: The weights are not here and can't be fetched.
    """
    return family_of(family).resolve(weights)


def fetch(family: str, weights: str) -> list[Path]:
    """The files that weights by name need, downloaded where they are missing.

    Raises:
        InputError: As `resolve`, or a family without weights by name.
        StateError: They are not here and can't be fetched.
    """
    found = getattr(family_of(family), "fetch", None)
    if found is None:
        raise InputError(f"{family} has no weights to download: use --weights {BUNDLED}, or a folder or file of yours")
    return list(found(weights))


def load(
    spec: ModelSpec,
    towers: tuple[Modality, ...] = MODALITIES,
    threads: int | None = None,
    precision: Precision = "fp32",
) -> Encoder:
    """The encoder of a spec; only the towers that are asked for stay in memory.

    Raises:
        StateError: The weights on this machine are not the ones of the spec any more.
        InputError: The family has no other precision than fp32.
    """
    encoder = family_of(spec.family).load(spec, towers, threads)
    if precision == "bf16":
        use_bf16 = getattr(encoder, "use_bf16", None)
        if use_bf16 is None:
            raise InputError(f"--precision bf16 is for clip, {spec} knows fp32 only: leave it out")
        use_bf16()
    return encoder
