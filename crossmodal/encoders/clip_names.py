"""open_clip's architectures, their published weights, and the preprocessing of each."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.encoders.torchvision_guard import prepare_torchvision

FILE_ENDINGS = (".pt", ".bin", ".safetensors")


def architecture_config(name: str) -> dict[str, Any]:
    """A copy of open_clip's configuration of an architecture.

    Raises:
        InputError: The architecture is unknown; the message suggests similar names.
    """
    prepare_torchvision()
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None:
        near = get_close_matches(name, open_clip.list_models(), n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "`python app.py -t models` lists them"
        raise InputError(f"unknown weights or architecture {name!r}: {hint}")
    return dict(config)


def with_tag(weights: str) -> str:
    """`ARCHITECTURE/TAG` for an `ARCHITECTURE` with exactly one tag; names with a tag are returned unchanged.

    Raises:
        InputError: The architecture is unknown, or has no tag or several; the message lists them.
    """
    architecture, _, tag = weights.partition("/")
    if tag:
        return weights
    architecture_config(architecture)
    tags = _tags(architecture)
    if len(tags) != 1:
        raise InputError(_choose(architecture, "has several published weights" if tags else "has no published weights"))
    return f"{architecture}/{tags[0]}"


def pretrained_config(architecture: str, tag: str) -> dict[str, Any]:
    """open_clip's entry of published weights: their location and preprocessing.

    Raises:
        InputError: The tag is unknown; the message lists the known ones.
    """
    from open_clip.pretrained import get_pretrained_cfg

    config = get_pretrained_cfg(architecture, tag)
    if not config:
        raise InputError(_choose(architecture, f"has no weights {tag!r}"))
    return dict(config)


def usual_preprocessing(architecture: str) -> dict[str, Any]:
    """The preprocessing of most published weights of an architecture; empty if it has none.

    For local files and random weights, which don't specify it. open_clip's default for files (OpenAI's statistics and a
    crop) is wrong for SigLIP, CLIPA and MobileCLIP.
    """
    from open_clip.pretrained import get_pretrained_cfg

    keys = ("mean", "std", "interpolation", "resize_mode")
    most_common = Counter(
        tuple(get_pretrained_cfg(architecture, tag)[key] for key in keys) for tag in _tags(architecture)
    ).most_common(1)
    return dict(zip(keys, most_common[0][0], strict=True)) if most_common else {}


def _tags(architecture: str) -> list[str]:
    from open_clip.pretrained import list_pretrained_tags_by_model

    return list(list_pretrained_tags_by_model(architecture))


def _choose(architecture: str, reason: str) -> str:
    return (
        f"{architecture} {reason}: use --weights {architecture}/TAG with one of "
        f"{', '.join(_tags(architecture)) or 'none'}; "
        f"or {architecture}/random, or {architecture}/FILE with a file that ends in {', '.join(FILE_ENDINGS)}"
    )
