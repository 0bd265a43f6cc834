"""Parquet caption files: rows with picture names, or with embedded pictures as model hubs store them."""

from __future__ import annotations

import os
import sys
from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, repeat
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.types import ImageRecord
from crossmodal.datasets.columns import Columns
from crossmodal.datasets.names import parts_of
from crossmodal.datasets.table import TableBuilder, captions_of, first, name_of, split_name
from crossmodal.datasets.text import Unusable, as_text

_ROWS_AT_ONCE = 1024
_PICTURES_AT_ONCE = 8


@dataclass(frozen=True)
class EmbeddedPicture:
    """Reads a picture's bytes from a row and column of a Parquet file."""

    file: Path
    column: str
    row: int

    def __call__(self) -> bytes:
        """The encoded bytes.

        Raises:
            PictureError: The file can't be read, or the row has no bytes.
        """
        import pyarrow

        try:
            status = os.stat(self.file)
            version = (status.st_ino, status.st_size, status.st_mtime_ns)
            content = _cached_column(self.file, self.column, version).at(self.row)
        except (OSError, pyarrow.ArrowException, StopIteration) as error:
            raise PictureError(f"can't be read from {self.file}: {error}") from error
        if content is None:
            raise PictureError(f"row {self.row + 1} of {self.file} has no picture")
        return content


class _Column:
    """The values of a binary column; sequential access reads each value once.

    Holds a few values in memory and the page that contains them: at most 1,024 values, or a row group if smaller.
    """

    def __init__(self, file: Path, column: str) -> None:
        self._file, self._column = _open(file), column
        sizes = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        self._starts = [0, *accumulate(sizes)]
        self._restart(0)

    def _restart(self, group: int) -> None:
        self._batches = self._file.iter_batches(
            _PICTURES_AT_ONCE, [*range(group, self._file.num_row_groups)], [self._column], use_threads=False
        )
        self._first, self._values = self._starts[group], None

    def at(self, row: int) -> bytes | None:
        """The value of a row; None if it is null."""
        group = bisect(self._starts, row) - 1
        if row < self._first or self._starts[group] > self._first + _PICTURES_AT_ONCE:
            self._restart(group)
        while self._values is None or row >= self._first + len(self._values):
            first = self._first + (0 if self._values is None else len(self._values))
            self._values, self._first = None, sys.maxsize  # after a failed read, the next access restarts
            self._values, self._first = next(self._batches).column(0), first
        value = self._values[row - self._first].as_py()
        return next(iter(value.values())) if isinstance(value, dict) else value

    def is_valid(self) -> Iterator[bool]:
        """Whether each row has bytes; reads the values only if the file has no null counts."""
        import pyarrow.compute as compute

        if all(self._has_no_nulls(group) for group in range(self._file.num_row_groups)):
            yield from repeat(True, self._file.metadata.num_rows)
            return
        for batch in self._file.iter_batches(_PICTURES_AT_ONCE, columns=[self._column], use_threads=False):
            column = batch.column(0)
            if "." in self._column:
                column = compute.struct_field(column, 0)
            yield from column.is_valid().to_pylist()

    def _has_no_nulls(self, group: int) -> bool:
        chunks = self._file.metadata.row_group(group)
        columns = (chunks.column(place) for place in range(chunks.num_columns))
        statistics = next(column.statistics for column in columns if column.path_in_schema == self._column)
        return statistics is not None and statistics.has_null_count and statistics.null_count == 0


@lru_cache(maxsize=4)
def _cached_column(file: Path, column: str, version: tuple[int, ...]) -> _Column:
    """A column shared by all readers; `version` makes a changed file a new cache entry."""
    return _Column(file, column)


def _open(file: Path) -> Any:
    import pyarrow.parquet as parquet

    # Not memory-mapped: truncation of a mapped file would kill the process (SIGBUS).
    return parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)


def read_parquet(path: Path, rows: TableBuilder) -> None:
    """Adds rows with a picture's name, or with an embedded picture as `image: {bytes, path}` or as bytes.

    Raises:
        InputError: The file is not Parquet, is damaged, or lacks a required column.
    """
    import pyarrow

    try:
        _read(path, rows)
    except pyarrow.ArrowException as error:
        raise InputError(f"damaged, or not Parquet: {error}") from error


def _read(path: Path, rows: TableBuilder) -> None:
    file = _open(path)
    schema = file.schema_arrow
    rows.add_header(schema.names)
    match = rows.columns.find(schema.names)
    embedded = _embedded(schema, match.image)
    rows.require("image", *([] if embedded else ["caption"]))
    columns = [*dict.fromkeys((*match.image, *match.captions, *match.split))]
    columns += ["filepath"] if "filepath" in schema.names and "filepath" not in columns else []
    content = None
    if embedded is not None:
        columns.remove(embedded)
        content = ".".join([embedded, *(_bytes_in(schema.field(embedded).type) or [])])
        if _has_paths(schema.field(embedded).type):
            columns.append(f"{embedded}.path")
    has_bytes = _Column(path, content).is_valid() if content else None
    # A collection knows a picture by its path, so a column that is not the default one needs paths of its own.
    default = _embedded(schema, Columns().find(schema.names).image)
    folder = path if embedded is None or embedded == default else path / quote(embedded, safe="")
    names: set[str] = set()
    for number, row in enumerate(_rows(file, columns), 1):
        where = f"{path.name}, entry {number}"
        if has_bytes is None or content is None or not next(has_bytes):
            rows.add(row, where)
            continue
        row_match = rows.match(row)
        name = _unique_name(name_of(row, row_match), number, names)
        captions = tuple(dict.fromkeys(rows.table.usable(captions_of(row, row_match), name, where)))
        tags = {"filename": PurePosixPath(name).name}
        if "/" in name:
            tags["folder"] = str(PurePosixPath(name).parent)
        if split := split_name(first(row, row_match.split)):
            tags["split"] = split
        picture = EmbeddedPicture(path, content, number - 1)
        rows.table.pictures.append(ImageRecord(folder / name, captions, tags, picture))


def _embedded(schema: Any, columns: Iterable[str]) -> str | None:
    """The first of the columns that holds the bytes of pictures."""
    return next((name for name in columns if _bytes_in(schema.field(name).type) is not None), None)


def _bytes_in(kind: Any) -> list[str] | None:
    """The path to the picture's bytes within a column of this type; None if the type holds no pictures."""
    import pyarrow.types as types

    if types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        is_picture = "bytes" in names and _bytes_in(kind.field(names.index("bytes")).type) == []
        return ["bytes"] if is_picture else None
    return [] if types.is_binary(kind) or types.is_large_binary(kind) else None


def _has_paths(kind: Any) -> bool:
    import pyarrow.types as types

    return types.is_struct(kind) and any(kind.field(i).name == "path" for i in range(kind.num_fields))


def _rows(file: Any, columns: list[str]) -> Iterator[dict[str, Any]]:
    """The rows as cells by column; a string that is not UTF-8 is replaced by bytes, which are rejected later."""
    if not columns:
        yield from ({} for _ in range(file.metadata.num_rows))
        return
    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns, use_threads=False):
        try:
            yield from batch.to_pylist()
        except UnicodeDecodeError:
            for row in range(batch.num_rows):
                yield {name: _value(batch.column(name)[row]) for name in batch.schema.names}


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return b"\xff"


def _unique_name(value: Any, number: int, taken: set[str]) -> str:
    """The name of an embedded picture: its own, or one made of its row number if it has none or it is taken."""
    text = as_text(value)
    parts = [] if isinstance(text, Unusable) else parts_of(text)
    name = "/".join(parts)
    if not name or name in taken:
        name = "/".join([f"row-{number}", *parts[-1:]])
    while name in taken:
        name = f"row-{number}/{name}"
    taken.add(name)
    return name
