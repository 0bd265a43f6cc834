"""Export and import of a collection as one Parquet file, to move it between machines without encoding again."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from crossmodal.collection.collection import Collection, collection_folder
from crossmodal.collection.indexes import every_index
from crossmodal.collection.parquet_file import ParquetFile, export
from crossmodal.core.engine import MadeWith
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import ModelSpec


@dataclass(frozen=True)
class ImportResult:
    """The collection after an import, and the numbers of new and of unchanged documents."""

    collection: Collection
    indexed: int
    unchanged: int


def export_collection(collection: Collection, path: Path) -> int:
    """Writes the documents, vectors, thumbnails and embedded images of a collection to a file; returns their number.

    Raises:
        InputError: The folder of `path` does not exist.
        StateError: The file can't be written.
    """
    manifest = {
        "model": collection.model.to_dict(),
        "made_with": asdict(collection.made_with),
        "name": collection.root.name,
    }
    with collection.store() as store:
        return export(store, path, manifest, collection.model.dim)


def import_collection(path: Path, workspace: Path, name: str | None = None) -> ImportResult:
    """Adds an exported file to a collection, which is created if missing; importing it again changes nothing.

    Args:
        path: The exported file.
        workspace: The folder of the collections.
        name: Name of the collection; None for the name in the file.

    Raises:
        InputError: The file is not an exported collection, or is damaged.
        StateError: The collection exists and has another model, or vectors in a precision that does not mix with that
            of the file.
    """
    outcomes: Counter[str] = Counter()
    with ParquetFile(path) as file:
        try:
            model, exported_name = ModelSpec.from_dict(file.manifest["model"]), str(file.manifest["name"])
            made_with = MadeWith(**file.manifest.get("made_with", {}))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} does not name the model and precision of its vectors: export the collection again"
            ) from error
        collection = Collection.create(collection_folder(workspace, name or exported_name), model, made_with)
        if not made_with.mixes_with(collection.made_with):
            raise StateError(
                f"{path} has vectors in {made_with.precision}, which can't be compared with those of {collection.root} "
                f"in {collection.made_with.precision}: import it into another collection with `--collection NAME`"
            )
        with collection.store(writable=True) as store:
            for items in file.batches(model.dim):
                outcomes.update(store.put(items))
            for index in every_index(collection, store).values():
                index.snapshot()
    return ImportResult(collection, outcomes["indexed"], outcomes["unchanged"])
