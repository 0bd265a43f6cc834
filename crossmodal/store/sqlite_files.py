"""The source files of a SQLite store."""

from __future__ import annotations

from collections.abc import Iterable

from crossmodal.store.database import Database
from crossmodal.store.records import by_name
from crossmodal.store.source_files import SourceFile


class SqliteFiles:
    """The files that the pictures of a SQLite store were read from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_source(self, source: str) -> dict[str, SourceFile]:
        """As `SourceFiles.of_source`."""
        rows = self._database.rows("SELECT path, size, mtime_ns, image_id FROM files WHERE source = ?", [source])
        return {row[0]: SourceFile(*row) for row in rows}

    def by_source(self) -> dict[str, list[SourceFile]]:
        """As `SourceFiles.by_source`."""
        rows = self._database.rows("SELECT source, path, size, mtime_ns, image_id FROM files ORDER BY source")
        return by_name((source, SourceFile(*row)) for source, *row in rows)

    def paths_of(self, image_id: str) -> list[str]:
        """As `SourceFiles.paths_of`."""
        rows = self._database.rows("SELECT path FROM files WHERE image_id = ? ORDER BY path", [image_id])
        return [row[0] for row in rows]

    def put(self, source: str, files: Iterable[SourceFile]) -> None:
        """As `SourceFiles.put`."""
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT INTO files (path, source, size, mtime_ns, image_id) "
                "SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM documents WHERE id = ?5) "
                "ON CONFLICT (path) DO UPDATE SET source = ?2, size = ?3, mtime_ns = ?4, image_id = ?5",
                ((file.path, source, file.size, file.mtime_ns, file.image_id) for file in files),
            )

    def forget(self, paths: Iterable[str]) -> None:
        """As `SourceFiles.forget`."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM files WHERE path = ?", ((path,) for path in paths))
