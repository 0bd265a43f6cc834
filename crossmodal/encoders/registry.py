"""How a name of weights becomes a spec and an encoder.

What the families are and what each can do is declared in `crossmodal.core.families`; this module imports the module of
a family and calls it.
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
"""Name of the small bundled weights, which know scenes."""

PHOTOS = "photos"
"""Name of the bundled weights that know photographs."""

BUNDLED_FOLDER = Path(__file__).parent / "bundled"
BUNDLED_NAMES = frozenset(name for family in FAMILIES.values() for name in family.bundled)
"""Names of the weights that come with the program: `resolve` neither downloads anything for them nor imports torch."""


class FamilyModule(Protocol):
    """The functions that the module of a family has."""

    def resolve(self, weights: str) -> ModelSpec:
        """The spec that a name of weights stands for, with as little loaded as possible.

        Equal files must give an equal `weights_hash`, and other files another: a collection refuses vectors of another
        spec. `weights` of the spec resolves to the same spec from any working directory.

        Raises:
            InputError: Unknown or damaged weights.
            StateError: They have to be downloaded and can't be.
        """
        ...

    def load(self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None, precision: Precision) -> Encoder:
        """The encoder of a spec, with only these towers in memory, and torch's default for `threads` if None.

        `precision` is one of those that the `Family` declares. The vectors have length 1 whatever it is.

        Raises:
            StateError: The weights on this machine are no longer those of the spec.
        """
        ...


class FetchingModule(FamilyModule, Protocol):
    """The module of a family with weights to download (`Family.larger_weights`)."""

    def fetch(self, weights: str) -> list[Path]:
        """The files that named weights need, downloaded if missing.

        Raises:
            InputError, StateError: As `resolve`.
        """
        ...


def family_of(name: str) -> Family:
    """The family of that name.

    Raises:
        InputError: An unknown family; the known ones are named.
    """
    if name not in FAMILIES:
        raise InputError(f"unknown model {name!r}: choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def module_of(family: Family) -> FamilyModule:
    """The module of a family, imported."""
    return cast(FamilyModule, importlib.import_module(family.module))


def default_weights(name: str, data_set: str) -> str:
    """The weights that a family uses on a data set when none are named.

    Raises:
        InputError: An unknown family, or one without default weights.
    """
    family = family_of(name)
    if data_set == SCENES and SCENES in family.bundled:
        return SCENES
    if family.default_weights is None:
        raise InputError(family.no_default)
    return family.default_weights


def resolve(family: str, weights: str) -> ModelSpec:
    """The spec that `-m family --weights weights` stands for on this machine, downloaded if it has to be.

    Raises:
        InputError: An unknown family, architecture, tag or file.
        StateError: The weights are not here and can't be fetched.
    """
    return module_of(family_of(family)).resolve(weights)


def fetch(name: str, weights: str) -> list[Path]:
    """The files that named weights need, downloaded if missing.

    Raises:
        InputError: As `resolve`, or a family without weights to download.
        StateError: They are not here and can't be fetched.
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
    """The encoder of a spec; only the given towers stay in memory.

    Raises:
        StateError: The weights on this machine are no longer those of the spec.
        InputError: The family does not support the precision.
    """
    family = family_of(spec.family)
    if not family.supports(precision):
        able = ", ".join(other.name for other in FAMILIES.values() if other.supports(precision))
        raise InputError(f"--precision {precision} is for {able}, {spec} knows fp32 only: leave it out")
    return module_of(family).load(spec, towers, threads, precision)


def bundled_folder(family: str, name: str) -> Path:
    """The folder of bundled weights."""
    return BUNDLED_FOLDER / FAMILIES[family].bundled[name]
