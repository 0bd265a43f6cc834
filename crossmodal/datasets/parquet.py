"""Captions in Parquet, and the pictures that a model hub stores with them."""

from __future__ import annotations

import os
import sys
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, repeat
from pathlib import Path, PurePosixPath
from typing import Any

from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.types import ImageRecord
from crossmodal.datasets.names import parts_of
from crossmodal.datasets.table import Rows, captions_of, first, name_of, split_name
from crossmodal.datasets.text import Unusable, as_text

_ROWS_AT_ONCE = 1024
_PICTURES_AT_ONCE = 8


@dataclass(frozen=True)
class InParquet:
    """Reads the bytes of a picture out of a column of a Parquet file."""

    file: Path
    column: str
    row: int

    def __call__(self) -> bytes:
        """The encoded bytes.

        Raises:
            PictureError: The file can't be read, or has no bytes there any more.
        """
        import pyarrow

        try:
            now = os.stat(self.file)
            content = _opened(self.file, self.column, (now.st_ino, now.st_size, now.st_mtime_ns)).at(self.row)
        except (OSError, pyarrow.ArrowException, StopIteration) as error:
            raise PictureError(f"can't be read out of {self.file}: {error}") from error
        if content is None:
            raise PictureError(f"row {self.row + 1} of {self.file} has no picture")
        return content


class _Column:
    """The values of a binary column; reading them in order reads each once.

    In memory are a few values, and the page they lie in: at most 1,024 values, or a row group where that has fewer.
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
        """The value of a row."""
        group = bisect(self._starts, row) - 1
        if row < self._first or self._starts[group] > self._first + _PICTURES_AT_ONCE:
            self._restart(group)
        while self._values is None or row >= self._first + len(self._values):
            first = self._first + (0 if self._values is None else len(self._values))
            self._values, self._first = None, sys.maxsize  # where reading fails, the next row starts over
            self._values, self._first = next(self._batches).column(0), first
        value = self._values[row - self._first].as_py()
        return next(iter(value.values())) if isinstance(value, dict) else value

    def is_valid(self) -> Iterator[bool]:
        """Whether each row has bytes; the bytes are read only where the file doesn't count those that are missing."""
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
        told = next(column.statistics for column in columns if column.path_in_schema == self._column)
        return told is not None and told.has_null_count and told.null_count == 0


@lru_cache(maxsize=4)
def _opened(file: Path, column: str, version: tuple[int, ...]) -> _Column:
    """One column for all who read it; `version` differs where the file has changed."""
    return _Column(file, column)


def _open(file: Path) -> Any:
    import pyarrow.parquet as parquet

    # Not mapped into memory: a file that is cut short meanwhile would end the process.
    return parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)


def read_parquet(path: Path, rows: Rows) -> None:
    """Rows with a picture's name, or with the picture itself as `image: {bytes, path}` or as plain bytes.

    Raises:
        InputError: No Parquet, damaged, or without the columns that are needed.
    """
    import pyarrow

    try:
        _read(path, rows)
    except pyarrow.ArrowException as error:
        raise InputError(f"damaged, or no Parquet: {error}") from error


def _read(path: Path, rows: Rows) -> None:
    file = _open(path)
    schema = file.schema_arrow
    rows.look_at(schema.names)
    found = rows.columns.find(schema.names)
    embedded = next((name for name in found.image if _bytes_in(schema.field(name).type) is not None), None)
    rows.require("image", *([] if embedded else ["caption"]))
    read = [*dict.fromkeys((*found.image, *found.captions, *found.split))]
    read += ["filepath"] if "filepath" in schema.names and "filepath" not in read else []
    content = None
    if embedded is not None:
        read.remove(embedded)
        content = ".".join([embedded, *(_bytes_in(schema.field(embedded).type) or [])])
        if _has_paths(schema.field(embedded).type):
            read.append(f"{embedded}.path")
    has_bytes = _Column(path, content).is_valid() if content else None
    names: set[str] = set()
    for number, row in enumerate(_rows(file, read), 1):
        where = f"{path.name}, entry {number}"
        if has_bytes is None or content is None or not next(has_bytes):
            rows.add(row, where)
            continue
        own = rows.found_in(row)
        name = _below(path, name_of(row, own), number, names)
        captions = tuple(dict.fromkeys(rows.table.usable(captions_of(row, own), name, where)))
        tags = {"filename": PurePosixPath(name).name}
        if "/" in name:
            tags["folder"] = str(PurePosixPath(name).parent)
        if split := split_name(first(row, own.split)):
            tags["split"] = split
        rows.table.pictures.append(ImageRecord(path / name, captions, tags, InParquet(path, content, number - 1)))


def _bytes_in(kind: Any) -> list[str] | None:
    """Where in a column of this type a picture's bytes are; None where they are not."""
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
    """The rows; a value that is no UTF-8 stands there as bytes."""
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


def _below(path: Path, given: Any, number: int, taken: set[str]) -> str:
    """The name of an embedded picture: the one it has, or that of its row where it has none or another has it."""
    written = as_text(given)
    parts = [] if isinstance(written, Unusable) else parts_of(written)
    name = "/".join(parts)
    if not name or name in taken:
        name = "/".join([f"row-{number}", *parts[-1:]])
    while name in taken:
        name = f"row-{number}/{name}"
    taken.add(name)
    return name
