"""Where the collection of the settings is."""

from __future__ import annotations

from pathlib import Path

from crossmodal.collection.collection import collection_folder
from crossmodal.core.settings import Settings
from crossmodal.datasets.registry import collection_name


def folder_of(settings: Settings) -> Path:
    """The folder of the collection of the settings: the one that they name, or that of their data set."""
    name = settings.collection
    return collection_folder(settings.workspace, collection_name(settings.data_set) if name is None else name)
