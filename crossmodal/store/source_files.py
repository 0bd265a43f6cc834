"""The file that each picture was read from, with its size and time."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from crossmodal.store.sqlite import DocumentStore


@dataclass(frozen=True)
class SourceFile:
    """A file that was indexed. A file with the same path, size and time is assumed to be unchanged."""

    path: str
    size: int  # bytes
    mtime_ns: int
    image_id: str

    @classmethod
    def on_disk(cls, path: str, container: str = "") -> SourceFile | None:
        """The current size and time of the file, or of an embedded picture's container; None if it can't be checked."""
        try:
            status = os.stat(container or path)
        except (OSError, ValueError):
            return None
        return cls(path, status.st_size, status.st_mtime_ns, "")

    def is_like(self, other: SourceFile) -> bool:
        """Whether path, size and time are the same."""
        return (self.path, self.size, self.mtime_ns) == (other.path, other.size, other.mtime_ns)


class SourceFiles:
    """The files of a collection."""

    def __init__(self, store: DocumentStore) -> None:
        self._database = store.database

    def of_source(self, source: str) -> dict[str, SourceFile]:
        """The files of a data set, by path."""
        rows = self._database.rows("SELECT path, size, mtime_ns, image_id FROM files WHERE source = ?", [source])
        return {row[0]: SourceFile(*row) for row in rows}

    def by_source(self) -> dict[str, list[SourceFile]]:
        """All files, by data set."""
        sources = self._database.rows("SELECT DISTINCT source FROM files ORDER BY source")
        return {source: list(self.of_source(source).values()) for (source,) in sources}

    def paths_of(self, image_id: str) -> list[str]:
        """The paths of a picture in alphabetical order; several if there are copies of its file."""
        rows = self._database.rows("SELECT path FROM files WHERE image_id = ? ORDER BY path", [image_id])
        return [row[0] for row in rows]

    def put(self, source: str, files: Iterable[SourceFile]) -> None:
        """Records files of pictures that are in the store, in one transaction."""
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT INTO files (path, source, size, mtime_ns, image_id) "
                "SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM documents WHERE id = ?5) "
                "ON CONFLICT (path) DO UPDATE SET source = ?2, size = ?3, mtime_ns = ?4, image_id = ?5",
                ((file.path, source, file.size, file.mtime_ns, file.image_id) for file in files),
            )

    def forget(self, paths: Iterable[str]) -> None:
        """Deletes the records of files in one transaction; their pictures stay."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM files WHERE path = ?", ((path,) for path in paths))
