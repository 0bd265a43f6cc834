"""What an indexing run knows of its data set: the records it met, their files, and the pictures they are."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from crossmodal.core.types import ImageRecord
from crossmodal.store.source_files import SourceFile


@dataclass
class Ledger:
    """The state of one run over one data set.

    Attributes:
        source: The name of the data set, under which the collection keeps its files.
        known_files: The files of the data set as they were when they were indexed, by path.
        files: The files as they are now, with the id of their picture, by path.
        pictures: The records of each picture that is in the collection or on its way there, by image id; the first
            one is encoded, the others are copies.
        listed: The paths of all pictures that the data set lists, readable or not.
        is_complete: Whether all captions and containers of the data set could be read.
    """

    source: str
    known_files: dict[str, SourceFile]
    files: dict[str, SourceFile] = field(default_factory=dict)
    pictures: dict[str, list[ImageRecord]] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    is_complete: bool = True

    def picture_in(self, path: str) -> str | None:
        """The id of the picture that a file of the data set holds now."""
        file = self.files.get(path)
        return None if file is None else file.image_id

    def places_of(self, image_id: str) -> dict[str, ImageRecord]:
        """The records of a picture by path, in the data set's order; of a file and links to it, the file's own."""
        places: dict[str, ImageRecord] = {}
        for record in self.pictures[image_id]:
            path = path_of(record)
            if path not in places or record.path.name == os.path.basename(path):
                places[path] = record
        return places

    def captions_of(self, image_id: str) -> dict[str, ImageRecord]:
        """The captions that the data set has of a picture, each with the last record that has it."""
        return {caption: record for record in self.pictures[image_id] for caption in record.captions}


def path_of(record: ImageRecord) -> str:
    """The absolute path of a record's picture without symbolic links, by which a collection knows its file."""
    return os.path.realpath(record.path)
