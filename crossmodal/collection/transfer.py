"""Export and import of a collection as Parquet files, to move it between machines without encoding again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossmodal.collection.collection import Collection, collection_folder
from crossmodal.collection.indexes import every_index
from crossmodal.collection.parquet_file import ParquetFile, export
from crossmodal.core.engine import MadeWith
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import ModelSpec
from crossmodal.store.protocol import Store


@dataclass(frozen=True)
class ImportResult:
    """The collection after an import, and the numbers of new and of unchanged documents."""

    collection: Collection
    indexed: int
    unchanged: int


def export_collection(collection: Collection, path: Path) -> int:
    """Writes the documents of a collection and its saved searches to a file; returns the number of documents.

    A document has its vector, its thumbnail, and its encoded picture if that is in the store.

    Raises:
        InputError: The folder of `path` does not exist.
        StateError: The file can't be written.
    """
    origin = Origin(collection.model, collection.made_with, collection.root.name)
    with collection.store() as store:
        manifest = {**origin.to_dict(), "searches": store.searches.all()}
        has_readings = store.readings.exist()[0]
        return export(store, path, manifest, collection.model.dim, has_readings=has_readings)


@dataclass(frozen=True)
class Origin:
    """What an exported file says of its vectors, and the name of their collection."""

    model: ModelSpec
    made_with: MadeWith
    name: str

    @classmethod
    def of(cls, file: ParquetFile) -> Origin:
        """The origin of a file's vectors.

        Raises:
            InputError: The file does not name it.
        """
        try:
            model, name = ModelSpec.from_dict(file.manifest["model"]), str(file.manifest["name"])
            return cls(model, MadeWith(**file.manifest.get("made_with", {})), name)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file.path} does not name the model and precision of its vectors: export the collection again"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """The values for the manifest of a file."""
        return {"model": self.model.to_dict(), "made_with": asdict(self.made_with), "name": self.name}


def import_collection(path: Path, workspace: Path, name: str | None = None) -> ImportResult:
    """Adds exported files to a collection, which is created if missing; importing them again changes nothing.

    The models and precisions of all files are checked before a document is added.

    Args:
        path: An exported file, or a folder of files with the ending `.parquet`, which are read in the order of their
            names.
        workspace: The folder of the collections.
        name: Name of the collection; None for the name in the first file.

    Raises:
        InputError: A file is not an exported collection, or is damaged; or the folder has none, or files of several
            models.
        StateError: The collection exists and has another model, or vectors in a precision that does not mix with that
            of a file.
    """
    paths = parts_in(path) if path.is_dir() else [path]
    if not paths:
        raise InputError(f"{path} has no files with the ending .parquet: name a folder that `encode` has written")
    collection = _collection_for(paths, workspace, name)
    outcomes: Counter[str] = Counter()
    with collection.store(writable=True) as store:
        for part in paths:
            with ParquetFile(part) as file:
                for items in file.batches(collection.model.dim):
                    outcomes.update(store.put(items))
                _add_searches(store, file)
        for index in every_index(collection, store).values():
            index.snapshot()
    return ImportResult(collection, outcomes["indexed"], outcomes["unchanged"])


def _add_searches(store: Store, file: ParquetFile) -> None:
    """Adds the saved searches of a file; one whose name is taken is left out.

    Raises:
        InputError: They are damaged.
    """
    searches, known = file.manifest.get("searches", {}), store.searches.all()
    if not isinstance(searches, dict) or not all(isinstance(query, dict) for query in searches.values()):
        raise InputError(f"{file.path} is damaged: its saved searches are not queries by name")
    for name, query in searches.items():
        if name not in known:
            store.searches.put(name, query)


def parts_in(folder: Path) -> list[Path]:
    """The Parquet files of a folder by name, without hidden ones, which may be incomplete."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def _collection_for(paths: Sequence[Path], workspace: Path, name: str | None) -> Collection:
    """The collection that the files may be added to, created if missing."""
    origins = [_origin_of(path) for path in paths]
    first = origins[0]
    for path, origin in zip(paths, origins, strict=True):
        if origin.model != first.model:
            raise InputError(
                f"{path} has vectors of {origin.model}, {paths[0]} of {first.model}: import them into different "
                "collections, one file at a time"
            )
    collection = Collection.create(collection_folder(workspace, name or first.name), first.model, first.made_with)
    for path, origin in zip(paths, origins, strict=True):
        if not origin.made_with.mixes_with(collection.made_with):
            raise StateError(
                f"{path} has vectors in {origin.made_with.precision}, which can't be compared with those of "
                f"{collection.root} in {collection.made_with.precision}: import it into another collection with "
                "`--collection NAME`"
            )
    return collection


def _origin_of(path: Path) -> Origin:
    with ParquetFile(path) as file:
        return Origin.of(file)
