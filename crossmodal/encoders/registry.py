"""Resolves names of weights to specs, and loads the encoder of a spec.

`crossmodal.core.families` declares the families and their capabilities. This module imports the module of a family and
calls it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from crossmodal.core.engine import OPENVINO, TORCH, Engine
from crossmodal.core.errors import InputError
from crossmodal.core.families import FAMILIES, Family
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import MODALITIES, Modality, ModelSpec

if TYPE_CHECKING:
    from crossmodal.encoders.exportable import TorchTower
    from crossmodal.encoders.network_encoder import Tokens

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

    def load(self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None, engine: Engine) -> Encoder:
        """The encoder of a spec in torch with only these towers in memory; `threads` None keeps torch's default.

        On the CPU, `engine` has one of the family's `cpu_precisions`. It doesn't affect the length of the vectors,
        which is 1.

        Raises:
            StateError: The weights on this machine have changed since the spec was made.
        """
        ...

    def networks(self, spec: ModelSpec) -> dict[Modality, TorchTower]:
        """The towers as torch modules, to convert them for OpenVINO; in float32 on the CPU.

        Raises:
            InputError, StateError: As `load`.
        """
        ...

    def tokens(self, spec: ModelSpec) -> Tokens:
        """The tokenizer of a model that encodes texts; imports torch only if the tokenizer needs it."""
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
    engine: Engine | None = None,
) -> Encoder:
    """The encoder of a spec; only `towers` are kept in memory.

    Args:
        spec: The model.
        towers: The towers to load.
        threads: Number of threads of an encoding; None for all cores.
        engine: How it runs, as `engine_choice.choose` returns it; None for float32 on the CPU, with OpenVINO if the
            model needs no conversion.

    Raises:
        StateError: The weights on this machine have changed since the spec was made, or have not been converted.
        InputError: The family does not support the precision.
    """
    family = family_of(spec.family)
    engine = engine or _float32(spec)
    if spec.base is None and engine.backend == "openvino":
        from crossmodal.encoders import converted

        return converted.load(spec, towers, threads, engine.precision)
    if spec.base is None and engine.device == "cpu" and engine.precision not in family.cpu_precisions:
        able = " and ".join(other.name for other in FAMILIES.values() if engine.precision in other.cpu_precisions)
        raise InputError(
            f"--precision {engine.precision} with torch on the CPU is for {able or 'no model'}, not for {spec}: "
            "remove it"
        )
    return module_of(family).load(spec, towers, threads, engine)


def _float32(spec: ModelSpec) -> Engine:
    from crossmodal.encoders import converted

    return OPENVINO if converted.is_ready(spec.encoder, "fp32") else TORCH


def bundled_folder(family: str, name: str) -> Path:
    """The folder of bundled weights."""
    return BUNDLED_FOLDER / FAMILIES[family].bundled[name]
