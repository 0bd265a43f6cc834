"""export, import: a collection as one Parquet file, to move it between machines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from cli.index import folder_of
from crossmodal.collection import transfer as parquet
from crossmodal.collection.collection import Collection, collection_folder
from crossmodal.collection.indexes import every_index
from crossmodal.core.errors import InputError
from crossmodal.core.settings import Settings
from crossmodal.core.types import ModelSpec


def export(settings: Settings, path: Path) -> dict[str, Any]:
    """Writes the collection's documents, vectors, thumbnails, and the pictures that no file holds.

    Returns:
        `documents`, their number, and `file`.
    """
    collection = Collection.open(folder_of(settings))
    manifest = {"model": collection.model.to_dict(), "name": collection.root.name}
    with collection.store() as store:
        n_documents = parquet.export(store, path, manifest, collection.model.dim)
    return {"documents": n_documents, "file": str(path)}


def import_(settings: Settings, path: Path) -> dict[str, Any]:
    """Takes an exported file in, into a collection of its name, or of the one that `--collection` gives.

    Nothing is encoded. Taking it in twice changes nothing.

    Returns:
        `indexed`, `unchanged`, `model`, `collection`.

    Raises:
        InputError: The file is no export of ours.
        StateError: The collection is there and of another model.
    """
    outcomes: Counter[str] = Counter()
    with parquet.ParquetFile(path) as file:
        try:
            model, name = ModelSpec.from_dict(file.manifest["model"]), str(file.manifest["name"])
        except (KeyError, TypeError) as error:
            raise InputError(f"{path} does not say which model its vectors are of") from error
        collection = Collection.create(collection_folder(settings.workspace, settings.collection or name), model)
        with collection.store(writable=True) as store:
            for items in file.batches(model.dim):
                outcomes.update(store.put(items))
            for index in every_index(collection, store).values():
                index.snapshot()
    told = {outcome: outcomes[outcome] for outcome in ("indexed", "unchanged")}
    return {**told, "model": str(model), "collection": str(collection.root)}
