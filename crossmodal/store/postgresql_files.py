"""The source files of a PostgreSQL store."""

from __future__ import annotations

from collections.abc import Iterable

from crossmodal.store.postgresql_server import Server
from crossmodal.store.records import by_name
from crossmodal.store.source_files import SourceFile


class PostgresqlFiles:
    """The files that the pictures of a PostgreSQL store were read from."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def of_source(self, source: str) -> dict[str, SourceFile]:
        """As `SourceFiles.of_source`."""
        rows = self._server.rows("SELECT path, size, mtime_ns, image_id FROM files WHERE source = %s", [source])
        return {row[0]: SourceFile(*row) for row in rows}

    def by_source(self) -> dict[str, list[SourceFile]]:
        """As `SourceFiles.by_source`."""
        rows = self._server.rows("SELECT source, path, size, mtime_ns, image_id FROM files ORDER BY source")
        return by_name((source, SourceFile(*row)) for source, *row in rows)

    def paths_of(self, image_id: str) -> list[str]:
        """As `SourceFiles.paths_of`."""
        rows = self._server.rows("SELECT path FROM files WHERE image_id = %s ORDER BY path", [image_id])
        return [row[0] for row in rows]

    def put(self, source: str, files: Iterable[SourceFile]) -> None:
        """As `SourceFiles.put`."""
        rows = [(file.path, source, file.size, file.mtime_ns, file.image_id, file.image_id) for file in files]
        with self._server.writing() as transaction, transaction.connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO files SELECT %s, %s, %s, %s, %s WHERE EXISTS (SELECT 1 FROM documents WHERE id = %s) "
                "ON CONFLICT (md5(path)) DO UPDATE SET source = excluded.source, size = excluded.size, "
                "mtime_ns = excluded.mtime_ns, image_id = excluded.image_id",
                rows,
            )

    def forget(self, paths: Iterable[str]) -> None:
        """As `SourceFiles.forget`."""
        with self._server.writing() as transaction:
            # The second condition is exact; the first uses the index.
            transaction.connection.execute(
                "DELETE FROM files USING unnest(%s::text[]) AS gone (path) "
                "WHERE md5(files.path) = md5(gone.path) AND files.path = gone.path",
                [list(paths)],
            )
