"""Resolves names of weights to specs, and loads the encoder of a spec.

`crossmodal.core.families` declares the families and their capabilities. This module imports the module of a family and
calls it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from crossmodal.core.errors import InputError
from crossmodal.core.families import FAMILIES, Family
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import MODALITIES, Modality, ModelSpec, Precision

SCENES = "scenes"
"""Name of the small bundled weights, trained on scenes."""

PHOTOS = "photos"
"""Name of the bundled weights for photographs."""

BUNDLED_FOLDER = Path(__file__).parent / "bundled"
BUNDLED_NAMES = frozenset(name for family in FAMILIES.values() for name in family.bundled)
"""Names of the bundled weights; `resolve` neither downloads anything nor imports torch for them."""


class FamilyModule(Protocol):
    """The functions of a family's module."""

    def resolve(self, weights: str) -> ModelSpec:
        """The spec of a name of weights, loading as little as possible.

        `weights_hash` must be equal for equal files and differ for different files, because a collection rejects
        vectors of another spec. The spec's `weights` must resolve to the same spec from any working directory.

        Raises:
            InputError: The weights are unknown or damaged.
            StateError: The weights must be downloaded and can't be.
        """
        ...

    def load(self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None, precision: Precision) -> Encoder:
        """The encoder of a spec with only these towers in memory; `threads` None keeps torch's default.

        `precision` is one that the `Family` declares. It doesn't affect the length of the vectors, which is 1.

        Raises:
            StateError: The weights on this machine have changed since the spec was made.
        """
        ...


class FetchingModule(FamilyModule, Protocol):
    """The module of a family with downloadable weights (`Family.larger_weights`)."""

    def fetch(self, weights: str) -> list[Path]:
        """The files that named weights need, downloaded if missing.

        Raises:
            InputError, StateError: As `resolve`.
        """
        ...


def family_of(name: str) -> Family:
    """The family with this name.

    Raises:
        InputError: The family is unknown; the message lists the known ones.
    """
    if name not in FAMILIES:
        raise InputError(f"unknown model {name!r}: choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def module_of(family: Family) -> FamilyModule:
    """Imports and returns the module of a family."""
    return cast(FamilyModule, importlib.import_module(family.module))


def default_weights(name: str, data_set: str) -> str:
    """The weights that a family uses on a data set when none are named.

    Raises:
        InputError: The family is unknown, or has no default weights.
    """
    family = family_of(name)
    if data_set == SCENES and SCENES in family.bundled:
        return SCENES
    if family.default_weights is None:
        raise InputError(family.no_default)
    return family.default_weights


def resolve(family: str, weights: str) -> ModelSpec:
    """The spec of `-m family --weights weights`; downloads the weights if missing.

    Raises:
        InputError: The family, architecture, tag or file is unknown.
        StateError: The weights are not on this machine and can't be downloaded.
    """
    return module_of(family_of(family)).resolve(weights)


def fetch(name: str, weights: str) -> list[Path]:
    """The files that named weights need, downloaded if missing.

    Raises:
        InputError: As `resolve`, or the family has no weights to download.
        StateError: The files are not on this machine and can't be downloaded.
    """
    family = family_of(name)
    if family.larger_weights is None:
        raise InputError(f"{name} has no weights to download: use --weights {SCENES}, or a folder or file of yours")
    return cast(FetchingModule, module_of(family)).fetch(weights)


def load(
    spec: ModelSpec,
    towers: tuple[Modality, ...] = MODALITIES,
    threads: int | None = None,
    precision: Precision = "fp32",
) -> Encoder:
    """The encoder of a spec; only `towers` are kept in memory.

    Raises:
        StateError: The weights on this machine have changed since the spec was made.
        InputError: The family does not support the precision.
    """
    family = family_of(spec.family)
    if not family.supports(precision):
        supporting = ", ".join(other.name for other in FAMILIES.values() if other.supports(precision))
        raise InputError(f"--precision {precision} is for {supporting}, {spec} supports fp32 only: remove it")
    return module_of(family).load(spec, towers, threads, precision)


def bundled_folder(family: str, name: str) -> Path:
    """The folder of bundled weights."""
    return BUNDLED_FOLDER / FAMILIES[family].bundled[name]
