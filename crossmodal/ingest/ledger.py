"""The state of an indexing run: the records of its data set, their files, and their pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from crossmodal.core.types import ImageRecord
from crossmodal.store.known_folders import FolderState, FolderStates, folders_above
from crossmodal.store.source_files import SourceFile


@dataclass
class Ledger:
    """The state of a run over one data set.

    Attributes:
        source: The name of the data set in the collection's table of files.
        known_files: The files of the data set at the time when they were indexed, by path.
        files: The current files, with the id of their picture, by path.
        pictures: The records of each picture that is in the collection or is being encoded, by image id; the first
            record is encoded, the others are copies.
        new: The ids of the pictures that this run has encoded.
        listed: The paths of all pictures that the data set lists, readable or not.
        known_folders: The folders of `known_files` at the time when they were indexed.
        folders: The current folders of `files`, each as it was before one of its files was found.
        excluded: The paths of files and folders that rules of the user leave out, with the rules' name.
        all_folders: The folders of all data sets of the collection when they were indexed; read only to find
            what is gone.
        is_complete: Whether all captions and containers of the data set could be read.
    """

    source: str
    known_files: dict[str, SourceFile]
    known_folders: FolderStates = field(default_factory=dict)
    files: dict[str, SourceFile] = field(default_factory=dict)
    folders: dict[str, FolderState] = field(default_factory=dict)
    pictures: dict[str, list[ImageRecord]] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)
    excluded: dict[str, str] = field(default_factory=dict)
    all_folders: FolderStates = field(default_factory=dict)
    is_complete: bool = True

    def folders_of(self, paths: Iterable[str]) -> dict[str, FolderState]:
        """The folders of some files as they are now, or as they were last; a mount point stays one."""
        found: dict[str, FolderState] = {}
        for folder in folders_above(paths):
            before = self.known_folders.get(folder)
            now = self.folders.get(folder, before)
            if now is not None:
                found[folder] = before if before is not None and before.is_mount and not now.is_mount else now
        return found

    def picture_in(self, path: str) -> str | None:
        """The id of the picture that is now in a file of the data set, None if the file was not read."""
        file = self.files.get(path)
        return None if file is None else file.image_id

    def why_excluded(self, path: str) -> str:
        """The name of the rules that leave out a file or a folder above it; empty if none do."""
        if not self.excluded:
            return ""
        return next((self.excluded[p] for p in (path, *map(str, Path(path).parents)) if p in self.excluded), "")

    def places_of(self, image_id: str) -> dict[str, ImageRecord]:
        """The records of a picture by path, in the data set's order; a file takes precedence over links to it."""
        places: dict[str, ImageRecord] = {}
        for record in self.pictures[image_id]:
            path = record.real_path
            if path not in places or record.path.name == os.path.basename(path):
                places[path] = record
        return places

    def captions_of(self, image_id: str) -> dict[str, ImageRecord]:
        """The captions of a picture in the data set, each with the last record that has it."""
        return {caption: record for record in self.pictures[image_id] for caption in record.captions}
