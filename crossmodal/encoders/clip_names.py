"""The names open_clip knows: architectures, their published weights, and how each wants its pictures."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.encoders.torchvision_guard import prepare_torchvision

FILE_ENDINGS = (".pt", ".bin", ".safetensors")


def architecture_config(name: str) -> dict[str, Any]:
    """open_clip's configuration of an architecture, a copy.

    Raises:
        InputError: An unknown one; names like it are given.
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
    """`ARCHITECTURE/TAG` for `ARCHITECTURE` alone, where it has exactly one tag; other names as they are.

    Raises:
        InputError: An unknown architecture, or one with no tag or several; they are listed.
    """
    architecture, _, tag = weights.partition("/")
    if tag:
        return weights
    architecture_config(architecture)
    tags = _tags(architecture)
    if len(tags) != 1:
        raise InputError(_choose(architecture, "has no weights of its own name" if not tags else "has several weights"))
    return f"{architecture}/{tags[0]}"


def pretrained_config(architecture: str, tag: str) -> dict[str, Any]:
    """open_clip's entry for published weights: where they are, and how they want their pictures.

    Raises:
        InputError: An unknown tag; the known ones are listed.
    """
    from open_clip.pretrained import get_pretrained_cfg

    config = get_pretrained_cfg(architecture, tag)
    if not config:
        raise InputError(_choose(architecture, f"has no weights {tag!r}"))
    return dict(config)


def usual_preprocessing(architecture: str) -> dict[str, Any]:
    """How most of the published weights of an architecture want their pictures; empty where there are none.

    For weights that do not say: a local file, or random ones. open_clip takes OpenAI's statistics and a crop
    for any file; that is wrong for a file of SigLIP, CLIPA or MobileCLIP, whose families never use them.
    """
    from open_clip.pretrained import get_pretrained_cfg

    keys = ("mean", "std", "interpolation", "resize_mode")
    found = Counter(
        tuple(get_pretrained_cfg(architecture, tag)[key] for key in keys) for tag in _tags(architecture)
    ).most_common(1)
    return dict(zip(keys, found[0][0], strict=True)) if found else {}


def _tags(architecture: str) -> list[str]:
    from open_clip.pretrained import list_pretrained_tags_by_model

    return list(list_pretrained_tags_by_model(architecture))


def _choose(architecture: str, what: str) -> str:
    return (
        f"{architecture} {what}: use --weights {architecture}/TAG with one of "
        f"{', '.join(_tags(architecture)) or 'none'}; "
        f"or {architecture}/random, or {architecture}/FILE with a file that ends in {', '.join(FILE_ENDINGS)}"
    )
