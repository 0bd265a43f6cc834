"""The folder of an experiment, which services and static web servers show as it is (docs/experiments.md)."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.files import write_atomically

FORMAT = 1
EXPERIMENT, COMPARISON, INDEX = "experiment.json", "comparison.json", "index.json"
PARTS = ("pictures", "neighbours", "umap")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def experiments_folder(workspace: Path) -> Path:
    """The folder of the experiments of a workspace; it may be missing."""
    return workspace / "experiments"


def check_name(name: str) -> str:
    """The name, which is that of a folder.

    Raises:
        InputError: It is not a valid name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"experiment {name!r}: use up to 100 letters, digits, '.', '_' and '-', and begin with a letter or digit"
        )
    return name


def write_experiment(folder: Path, experiment: dict[str, Any], files: Iterator[tuple[str, bytes]]) -> None:
    """Replaces the experiment in a folder; a comparison beside it is kept.

    While the files are written there is no experiment.json, so that nobody reads half of an experiment.

    Args:
        folder: The folder, created if missing.
        experiment: The content of experiment.json.
        files: Path relative to the folder and content of each other file.
    """
    (folder / EXPERIMENT).unlink(missing_ok=True)
    for part in PARTS:
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir(parents=True)
    for path, content in files:
        (folder / path).write_bytes(content)
    write_atomically(folder / EXPERIMENT, json.dumps(experiment, separators=(",", ":")).encode())


def read_experiment(folder: Path) -> dict[str, Any]:
    """The content of experiment.json.

    Raises:
        StateError: There is no experiment, or it is damaged or of another version.
    """
    try:
        experiment = json.loads((folder / EXPERIMENT).read_bytes())
    except (OSError, ValueError) as error:
        raise StateError(f"there is no experiment {folder.name}: make it with `crossmodal experiment`") from error
    if not isinstance(experiment, dict) or experiment.get("format") != FORMAT:
        raise StateError(f"the experiment {folder.name} is of another version: make it again")
    return experiment


def listing(experiments: Path, *, live: bool) -> dict[str, Any]:
    """The content of index.json: the experiments and comparisons in a folder, by name.

    Args:
        experiments: The folder; it may be missing.
        live: Whether a service answers uploads.
    """
    folders = sorted(path for path in experiments.iterdir() if path.is_dir()) if experiments.is_dir() else []
    entries = [entry for folder in folders if (entry := _entry(folder)) is not None]
    return {"format": FORMAT, "live": live, "experiments": entries}


def _entry(folder: Path) -> dict[str, Any] | None:
    """The entry of a folder in index.json; None if it has neither an experiment nor a comparison."""
    has_comparison = (folder / COMPARISON).is_file()
    try:
        experiment = read_experiment(folder)
    except StateError:
        if not has_comparison:
            return None
        return {"name": folder.name, "title": folder.name, "n": 0, "comparison": True}
    title = f"{folder.name}: {experiment['set']['n']} pictures, {len(experiment['models'])} models"
    return {"name": folder.name, "title": title, "n": experiment["set"]["n"], "comparison": has_comparison}
