"""Shell completion of option values; imports no slow module."""

from __future__ import annotations

import json
from pathlib import Path

import click

import crossmodal
from crossmodal.core.errors import StateError
from crossmodal.core.resources import user_folder


def default_workspace() -> Path:
    """The folder of the collections, in the user's data folder.

    Raises:
        UsageError: The user has no home folder.
    """
    try:
        return user_folder() / "collections"
    except StateError as error:
        raise click.UsageError(f"{error}, or name the folder of the collections with -w") from error


def complete_collection(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of the workspace's collections that begin with the incomplete word."""
    workspace = context.params.get("workspace") or default_workspace()
    names = sorted(path.parent.name for path in Path(workspace).glob("*/manifest.json"))
    return [name for name in names if name.startswith(incomplete)]


def complete_weights(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of known weights of the family that begin with the incomplete word.

    Only names in the catalogue file are completed, because listing all weights imports torch.
    """
    catalogue = json.loads(Path(crossmodal.__file__).with_name("encoders").joinpath("catalogue.json").read_text("utf8"))
    known = catalogue["timm"] if context.params.get("model") == "timm" else ("photos", "scenes", *catalogue["recall"])
    return [name for name in known if name.startswith(incomplete)]
