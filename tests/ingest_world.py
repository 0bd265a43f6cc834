"""Indexing without an encoder, for tests of ingestion."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
from PIL import Image

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import PictureError
from crossmodal.core.report import Report
from crossmodal.core.types import Document, ImageRecord, ModelSpec, Preprocessing
from crossmodal.datasets.folder import read_path
from crossmodal.images.decode import decode
from crossmodal.images.sources import from_file
from crossmodal.ingest.job import EncodedDocument, IndexJob
from crossmodal.store.sqlite import NewDocument

FAST_DISK = "/dev/shm" if os.path.isdir("/dev/shm") else None
SOMEBODY = 12_345
MODEL = ModelSpec("clip", "test", "0" * 40, 4, Preprocessing(8))
VECTOR = np.array([1, 0, 0, 0], np.float32)
_ENCODED: dict[int, bytes] = {}


def encoded(number: int) -> bytes:
    if number not in _ENCODED:
        with tempfile.TemporaryFile() as file:
            Image.new("RGB", (2, 2), (number, 255 - number, 7)).save(file, "PNG")
            file.seek(0)
            _ENCODED[number] = file.read()
    return _ENCODED[number]


@cache
def _import_all() -> None:
    """Imports all modules of a run, since an ordinary user may lack permission to read the packages."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "1.png").write_bytes(encoded(1))
        (Path(folder) / "captions.csv").write_text("image,caption\n1.png,é\n2.png,none\n", "utf8")
        for record in read_path(Path(folder)):
            if isinstance(record, ImageRecord):
                decode(from_file(record.path))


@contextmanager
def as_somebody() -> Iterator[None]:
    """Runs the block as an ordinary user if the tests run as root."""
    is_root = os.geteuid() == 0
    if is_root:
        _import_all()
        os.seteuid(SOMEBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def encoded_document(document: Document, outcome: str = "", error: str = "", note: str = "") -> EncodedDocument:
    """A document as it comes back from the Flow."""
    return cast(EncodedDocument, SimpleNamespace(**vars(document), outcome=outcome, error=error, note=note))


def indexed(collection: Collection, root: Path, *, prune: bool = False, confirmed: bool = True) -> Report:
    """The report of an indexing run by an ordinary user; all documents get the same vector."""
    with as_somebody():
        records = list(read_path(root))
        job = IndexJob(collection, str(root))
        with collection.store(writable=True) as store:
            for pending in job.images(records):
                document, error, outcome = pending.document, "", ""
                try:
                    decode(pending.content)
                    (outcome,) = store.put([NewDocument(document, VECTOR, content=pending.content_without_file)])
                except PictureError as failure:
                    error = str(failure)
                job.image_done(encoded_document(document, outcome, error))
            job.duplicates_done()
            for caption in list(job.captions()):
                (outcome,) = store.put([NewDocument(caption, VECTOR)])
                job.caption_done(encoded_document(caption, outcome))
        job.release()
        job.reconcile(prune=prune, confirmed=confirmed)
    return job.report


def documents(collection: Collection) -> tuple[dict[str, Document], dict[str, list[str]]]:
    """All documents by id, and the file paths of each picture."""
    with collection.store() as store:
        by_id = {item.document.id: item.document for _, item in store.everything(0, 1000)}
        files = store.files
        return by_id, {key: files.paths_of(key) for key, document in by_id.items() if document.modality == "image"}
