"""export, import: a collection as one Parquet file; results are JSON values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.index import folder_of
from crossmodal.collection.collection import Collection
from crossmodal.collection.transfer import export_collection, import_collection
from crossmodal.core.settings import Settings


def export(settings: Settings, path: Path) -> dict[str, Any]:
    """As `export_collection`: the number of `documents`, and the `file`."""
    return {"documents": export_collection(Collection.open(folder_of(settings)), path), "file": str(path)}


def import_(settings: Settings, path: Path) -> dict[str, Any]:
    """As `import_collection`: `indexed`, `unchanged`, `model`, `collection`."""
    result = import_collection(path, settings.workspace, settings.collection)
    return {
        "indexed": result.indexed,
        "unchanged": result.unchanged,
        "model": str(result.collection.model),
        "collection": str(result.collection.root),
    }
