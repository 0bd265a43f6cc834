"""The Parquet format of an exported collection.

One row per document, in the order of the keys, with the columns of `_schema`; the column `reading`, the text in a
picture as JSON, is missing if no picture was read. Keys are not exported; the importing
store assigns new ones. The file's metadata has `crossmodal.format`, a number, and `crossmodal.manifest`, a JSON object
with the model of the vectors.

    export(store, Path("pictures.parquet"), manifest, dim=512)

    with ParquetFile(Path("pictures.parquet")) as file:
        check(file.manifest)
        for items in file.batches(dim=512):
            store.put(items)

Export and import keep one batch in memory, at most 10,000 rows or about 64 MB.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.files import atomic_writer, sync_folder
from crossmodal.core.os_errors import ENVIRONMENT_ERRNOS, reason
from crossmodal.core.reading import Reading
from crossmodal.core.types import MODALITIES, Document, Vectors
from crossmodal.store.records import NewDocument, reading_of

FORMAT = 1
BATCH_ROWS = 10_000
BATCH_BYTES = 64 * 2**20
UNIT_TOLERANCE = 1e-3  # of a vector's length, as in the index

_PAGE_ROWS = 64  # rows per read of the store; some hundred MB if each has an embedded image
_to_json = json.JSONEncoder(ensure_ascii=False).encode
_FORMAT_KEY = b"crossmodal.format"
_MANIFEST_KEY = b"crossmodal.manifest"
_READING = "reading"
_DOCUMENT = ("id", "modality", "uri", "mime_type", "text", "width", "height", "image_id", "tags")


class Exportable(Protocol):
    """The part of a store that `export` reads."""

    def everything(self, after_key: int, limit: int) -> list[tuple[int, NewDocument]]:
        """At most `limit` complete documents with keys above `after_key`, by ascending key."""
        ...


def export(store: Exportable, path: Path, manifest: dict[str, Any], dim: int, *, has_readings: bool = False) -> int:
    """Atomically writes all documents to `path`, replacing an existing file; returns the number of documents.

    Args:
        store: The documents. Commits during the export may be in the file or not.
        path: The file to write.
        manifest: The model of the vectors, and further JSON values.
        dim: Dimension of the vectors.
        has_readings: Whether to write the text that was read in the pictures.

    Raises:
        InputError: The folder of `path` does not exist.
        StateError: The file can't be written, or a vector in the store has another dimension.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path} can't be written: there is no folder {path.parent}")
    try:
        with atomic_writer(path) as file:
            n_documents = write_documents(file, _batches(store), manifest, dim, has_readings=has_readings)
        sync_folder(path.parent)
    except OSError as error:
        raise StateError(f"{path} can't be written: {reason(error, path)}") from error
    return n_documents


class ParquetFile:
    """A reader of a file that `export` wrote."""

    def __init__(self, path: Path) -> None:
        """Opens the file and reads its metadata; call `close`, or use it as a context manager.

        Raises:
            InputError: The file does not exist, is damaged, or is not an exported collection.
            StateError: The file has a newer format.
        """
        if not path.is_file():
            raise InputError(f"{path}: there is no such file")
        self.path = path
        with _read_errors(path):
            self._file: Any = pq.ParquetFile(path, page_checksum_verification=True)
        try:
            self.manifest: dict[str, Any] = self._manifest()
            self.dim: int = self._dim()
            self.n_documents: int = self._file.metadata.num_rows
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ParquetFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def batches(self, dim: int) -> Iterator[list[NewDocument]]:
        """The documents in the order of the file, at most 10,000 at a time.

        Raises:
            InputError: The vectors have another dimension than `dim`, or, while reading, the file is damaged, an id is
                missing, a vector does not have length 1, or tags are not a JSON object.
        """
        if dim != self.dim:
            raise InputError(
                f"{self.path} has vectors of {self.dim} dimensions, expected {dim}: import it into a collection of "
                "the same model"
            )
        row = 0
        with _read_errors(self.path):
            # One group per request, because small groups in one request are joined into a large batch.
            for group in range(self._file.num_row_groups):
                for batch in self._file.iter_batches(BATCH_ROWS, row_groups=[group]):
                    batch.validate(full=True)
                    yield self._documents(batch, row)
                    row += batch.num_rows
        if row != self.n_documents:  # a damaged page header can hide its rows
            raise InputError(f"{self.path} is damaged: {row} of its {self.n_documents} documents can be read")

    def _manifest(self) -> dict[str, Any]:
        metadata = self._file.metadata.metadata or {}
        if _FORMAT_KEY not in metadata or _MANIFEST_KEY not in metadata:
            raise InputError(f"{self.path} is a Parquet file, but not an exported collection")
        try:
            number, manifest = int(metadata[_FORMAT_KEY]), json.loads(metadata[_MANIFEST_KEY])
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.path} is damaged: {error}") from error
        if number != FORMAT:
            raise StateError(f"{self.path} has format {number}, this program reads format {FORMAT}: update the program")
        if not isinstance(manifest, dict):
            raise InputError(f"{self.path} is damaged: the manifest is not a JSON object")
        return manifest

    def _dim(self) -> int:
        schema = self._file.schema_arrow
        place = schema.get_field_index("vector")
        dim = getattr(schema.types[place], "list_size", -1) if place >= 0 else -1
        if dim < 1 or not any(schema.equals(_schema(dim, has_readings)) for has_readings in (False, True)):
            columns = ", ".join(f"{field.name} {field.type}" for field in schema)
            raise InputError(f"{self.path} does not have the columns of format {FORMAT}, but {columns}")
        return int(dim)

    def _documents(self, batch: Any, first_row: int) -> list[NewDocument]:
        vectors: Vectors = batch.column("vector").flatten().to_numpy().reshape(-1, self.dim)
        with np.errstate(over="ignore", invalid="ignore"):
            is_invalid = ~(np.abs(np.linalg.norm(vectors, axis=1) - 1) < UNIT_TOLERANCE)
        items = []
        for place, row in enumerate(batch.drop_columns(["vector"]).to_pylist()):
            where = f"{self.path}, row {first_row + place + 1}"
            thumbnail, content = row.pop("thumbnail"), row.pop("content")
            reading = _reading(row.pop(_READING, None), where)
            document = _document(row, where)
            if is_invalid[place]:
                raise InputError(f"{where}: the vector of {document.id!r} does not have length 1")
            items.append(NewDocument(document, vectors[place], thumbnail, content, reading))
        return items


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """Converts the errors of reading a file into an InputError with its path."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno in ENVIRONMENT_ERRNOS:
            raise InputError(f"{path} can't be read: {reason(error, path)}") from error
        raise InputError(f"{path} is damaged or not a Parquet file: {error}") from error


def _schema(dim: int, has_readings: bool = False) -> Any:
    texts = ("id", "modality", "uri", "mime_type", "text", "image_id", "tags")
    columns = [pa.field(name, pa.string() if name in texts else pa.int64(), nullable=False) for name in _DOCUMENT]
    element = pa.field("element", pa.float32(), nullable=False)
    columns.append(pa.field("vector", pa.list_(element, dim), nullable=False))
    columns += [pa.field("thumbnail", pa.large_binary()), pa.field("content", pa.large_binary())]
    return pa.schema([*columns, pa.field(_READING, pa.string())] if has_readings else columns)


def write_documents(
    file: Any, batches: Iterable[list[NewDocument]], manifest: dict[str, Any], dim: int, *, has_readings: bool = False
) -> int:
    """Writes documents to an open binary file, one row group per batch; returns their number.

    Args:
        file: The file.
        batches: The documents.
        manifest: The model of the vectors, and further JSON values.
        dim: Dimension of the vectors.
        has_readings: Whether to write the text that was read in the pictures.

    Raises:
        StateError: A vector has another dimension.
    """
    metadata = {_FORMAT_KEY: str(FORMAT).encode(), _MANIFEST_KEY: _to_json(manifest).encode()}
    schema = _schema(dim, has_readings).with_metadata(metadata)
    n_documents = 0
    with pq.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=["modality", "mime_type"], write_statistics=False,
        write_page_checksum=True,
    ) as writer:  # fmt: skip
        for items in batches:
            writer.write_batch(pa.record_batch(_columns(items, schema), schema=schema), row_group_size=len(items))
            n_documents += len(items)
    return n_documents


def _columns(items: Sequence[NewDocument], schema: Any) -> list[Any]:
    """The columns of a batch, in the order of the schema."""
    vector_type = schema.field("vector").type
    for item in items:
        if item.vector.shape != (vector_type.list_size,):
            shape, dim = item.vector.shape, vector_type.list_size
            raise StateError(f"document {item.document.id} has a vector of shape {shape}, expected ({dim},)")
    documents = [item.document for item in items]
    values = {name: [getattr(document, name) for document in documents] for name in _DOCUMENT[:-1]}
    values["tags"] = [_to_json(document.tags) for document in documents]
    columns = [pa.array(values[name], schema.field(name).type) for name in _DOCUMENT]
    flat = np.concatenate([item.vector for item in items]).astype(np.float32, copy=False)
    columns.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), type=vector_type))
    columns.append(pa.array([item.thumbnail for item in items], pa.large_binary()))
    columns.append(pa.array([item.content for item in items], pa.large_binary()))
    if _READING in schema.names:
        columns.append(pa.array([item.reading and item.reading.to_json() for item in items], pa.string()))
    return columns


def _batches(store: Exportable) -> Iterator[list[NewDocument]]:
    """All documents in batches of up to BATCH_ROWS rows or about BATCH_BYTES bytes."""
    batch: list[NewDocument] = []
    n_bytes = after_key = 0
    while page := store.everything(after_key, _PAGE_ROWS):
        for _, item in page:
            batch.append(item)
            n_bytes += (
                item.vector.nbytes + len(item.document.text) + len(item.thumbnail or b"") + len(item.content or b"")
            )
            if len(batch) == BATCH_ROWS or n_bytes >= BATCH_BYTES:
                yield batch
                batch, n_bytes = [], 0
        after_key = page[-1][0]
    if batch:
        yield batch


def _reading(content: str | None, where: str) -> Reading | None:
    try:
        return reading_of(content)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{where}: the text read in the picture is damaged: {error!r}") from error


def _document(row: dict[str, Any], where: str) -> Document:
    document_id, modality = row["id"], row["modality"]
    if not document_id:
        raise InputError(f"{where}: the id is missing")
    if modality not in MODALITIES:
        raise InputError(
            f"{where}: the modality of {document_id!r} is {modality!r}, expected {' or '.join(MODALITIES)}"
        )
    try:
        tags = json.loads(row["tags"])
        if "\\u" in row["tags"]:
            _to_json(tags).encode()  # raises for an unpaired surrogate, which can't be stored
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: the tags of {document_id!r} are not valid JSON: {error}") from error
    if not isinstance(tags, dict):
        raise InputError(f"{where}: the tags of {document_id!r} are not a JSON object")
    return Document(**{**row, "tags": tags})
