"""export, import, migrate, verify --against: a collection in two places; results are JSON values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cli.location import folder_of
from crossmodal.collection import comparison, migration
from crossmodal.collection.collection import Collection
from crossmodal.collection.transfer import export_collection, import_collection
from crossmodal.core.settings import Settings


def export(settings: Settings, path: Path) -> dict[str, Any]:
    """As `export_collection`: the number of `documents`, and the `file`."""
    return {"documents": export_collection(Collection.open(folder_of(settings)), path), "file": str(path)}


def import_(settings: Settings, path: Path) -> dict[str, Any]:
    """As `import_collection`: `indexed`, `unchanged`, `model`, `collection`, and whether that is `calibrated`."""
    result = import_collection(path, settings.workspace, settings.collection)
    return {
        "indexed": result.indexed,
        "unchanged": result.unchanged,
        "model": str(result.collection.model),
        "collection": str(result.collection.root),
        "calibrated": result.collection.calibration_path.exists(),
    }


def migrate(settings: Settings, place: str, progress: Callable[[int], None]) -> dict[str, Any]:
    """As `migration.migrate`: the number of `documents`, and how many were `copied` by this run."""
    return asdict(migration.migrate(Collection.open(folder_of(settings)), place, progress))


def compare(settings: Settings, place: str, progress: Callable[[int], None]) -> dict[str, Any]:
    """As `comparison.compare`: the `problems`, each with its `item` and `reason`."""
    problems = comparison.compare(Collection.open(folder_of(settings)), place, progress)
    return {"problems": [asdict(problem) for problem in problems]}


def n_documents(settings: Settings) -> int:
    """As `comparison.n_documents`."""
    return comparison.n_documents(Collection.open(folder_of(settings)))
