"""open_clip's architectures, their published weights, and the preprocessing of each.

All are read from the files of the package without importing it, because it imports torch.
"""

from __future__ import annotations

import ast
import copy
import json
import re
from collections import Counter
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.encoders.packages import package_folder

FILE_ENDINGS = (".pt", ".bin", ".safetensors")


def architecture_config(name: str) -> dict[str, Any]:
    """open_clip's configuration of an architecture.

    Raises:
        InputError: The architecture is unknown; the message suggests similar names.
    """
    files = _config_files()
    if name not in files:
        near = get_close_matches(name, files, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "`python app.py -t models` lists them"
        raise InputError(f"unknown weights or architecture {name!r}: {hint}")
    config: dict[str, Any] = json.loads(files[name].read_text("utf8"))
    return config


def with_tag(weights: str) -> str:
    """`ARCHITECTURE/TAG` for an `ARCHITECTURE` with exactly one tag; names with a tag are returned unchanged.

    Raises:
        InputError: The architecture is unknown, or has no tag or several; the message lists them.
    """
    architecture, _, tag = weights.partition("/")
    if tag:
        return weights
    architecture_config(architecture)
    tags = tags_of(architecture)
    if len(tags) != 1:
        raise InputError(_choose(architecture, "has several published weights" if tags else "has no published weights"))
    return f"{architecture}/{tags[0]}"


def pretrained_config(architecture: str, tag: str) -> dict[str, Any]:
    """open_clip's entry of published weights: their location and preprocessing.

    Raises:
        InputError: The tag is unknown; the message lists the known ones.
    """
    config = _published().get_pretrained_cfg(architecture, tag)
    if not config:
        raise InputError(_choose(architecture, f"has no weights {tag!r}"))
    return dict(config)


def usual_preprocessing(architecture: str) -> dict[str, Any]:
    """The preprocessing of most published weights of an architecture; empty if it has none.

    For local files and random weights, which don't specify it. open_clip's default for files (OpenAI's statistics and a
    crop) is wrong for SigLIP, CLIPA and MobileCLIP.
    """
    keys = ("mean", "std", "interpolation", "resize_mode")
    entries = (pretrained_config(architecture, tag) for tag in tags_of(architecture))
    most_common = Counter(tuple(entry[key] for key in keys) for entry in entries).most_common(1)
    return dict(zip(keys, most_common[0][0], strict=True)) if most_common else {}


def architectures() -> list[str]:
    """The names of open_clip's architectures, in open_clip's order: numbers in them by value."""
    return sorted(
        _config_files(), key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name.lower())]
    )


def tags_of(architecture: str) -> list[str]:
    """The tags of an architecture's published weights; empty if it has none or is unknown."""
    return list(_published().list_pretrained_tags_by_model(architecture))


def _choose(architecture: str, reason: str) -> str:
    return (
        f"{architecture} {reason}: use --weights {architecture}/TAG with one of "
        f"{', '.join(tags_of(architecture)) or 'none'}; "
        f"or {architecture}/random, or {architecture}/FILE with a file that ends in {', '.join(FILE_ENDINGS)}"
    )


def _config_files() -> dict[str, Path]:
    """The files of the configurations, by architecture."""
    return {file.stem: file for file in (_package() / "model_configs").glob("*.json")}


@lru_cache(maxsize=1)
def _published() -> SimpleNamespace:
    """The names of `open_clip.pretrained` that need no import.

    Runs the statements of the module except its imports, which are for downloads and include torch.
    """
    names: dict[str, Any] = {"copy": copy}
    exec((_package() / "constants.py").read_text("utf8"), names)
    module = ast.parse((_package() / "pretrained.py").read_text("utf8"))
    module.body = [part for part in module.body if not isinstance(part, ast.Import | ast.ImportFrom | ast.Try)]
    exec(compile(module, "open_clip/pretrained.py", "exec"), names)  # annotations are not evaluated, as in this module
    return SimpleNamespace(**names)


def _package() -> Path:
    return package_folder("open_clip", "open_clip_torch", "CLIP needs")
