"""Where the collection of the settings is."""

from __future__ import annotations

from pathlib import Path

from crossmodal.collection.collection import Collection, collection_folder, collections
from crossmodal.core.errors import InputError
from crossmodal.core.settings import Settings
from crossmodal.datasets.registry import collection_name, source_of_path


def folder_of(settings: Settings) -> Path:
    """The folder of the collection of the settings: the one that they name, or that of their data set."""
    name = settings.collection
    return collection_folder(settings.workspace, collection_name(settings.data_set) if name is None else name)


def collection_of(settings: Settings) -> Collection:
    """The collection of the settings, opened.

    Raises:
        StateError: There is none, or its format is not supported.
    """
    return Collection.open(folder_of(settings))


def check_watched(folder: Path, collection: Path) -> None:
    """Checks that a folder exists that is to be watched, unless it was indexed: its disk may be mounted later.

    Raises:
        InputError: It neither exists nor was indexed; the name may be misspelt.
        StateError: The collection can't be read.
    """
    if folder.is_dir():
        return
    was_indexed = False
    if collection.name in collections(collection.parent):
        with Collection.open(collection).store() as store:
            was_indexed = bool(store.files.of_source(source_of_path(folder)))
    if not was_indexed:
        raise InputError(
            f"{folder} is not a folder: check the spelling, or mount its disk; a folder can be watched before its disk "
            "is mounted once it has been indexed"
        )
