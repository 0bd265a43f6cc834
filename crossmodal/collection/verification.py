"""Consistency of a collection: its store against its indexes and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossmodal.collection import picture_map
from crossmodal.collection.collection import Collection
from crossmodal.core.errors import NotWritableError, PictureError, StateError
from crossmodal.core.types import MODALITIES, Document, Modality, image_id
from crossmodal.images.sources import from_file
from crossmodal.index.dense import UNIT_TOLERANCE
from crossmodal.relevance.rules import Calibration
from crossmodal.store.presence import Disk
from crossmodal.store.source_files import SourceFiles
from crossmodal.store.sqlite import DocumentStore, NewDocument

BATCH = 1_000
SAMPLED = 1_000
"""Vectors of an index that are searched for. Its files as a whole are covered by checksums."""


@dataclass(frozen=True)
class Problem:
    """An inconsistent item, with what is wrong and what to do."""

    item: str
    reason: str


@dataclass(frozen=True)
class Verification:
    """How many documents a collection has, and its problems."""

    images: int
    captions: int
    problems: list[Problem]


def verify(collection: Collection, progress: Callable[[int], None]) -> Verification:
    """Compares the store, the indexes and the pictures of a collection.

    It holds the collection's lock, so that nothing is written meanwhile; not where this user may only read.

    Args:
        collection: The collection.
        progress: Called with the number of further documents that were checked.
    """
    try:
        store = collection.store(writable=True)
    except NotWritableError:
        store = collection.store()
    with store:
        problems = verify_collection(collection, store, progress)
        counts = store.counts()
    return Verification(counts["image"], counts["text"], problems)


def verify_collection(collection: Collection, store: DocumentStore, progress: Callable[[int], None]) -> list[Problem]:
    """The problems of a collection: of the database first, then of documents, then of indexes.

    Args:
        collection: The collection.
        store: Its store, open.
        progress: Called with the number of further documents that were checked.
    """
    problems = list(_database(store))
    files = SourceFiles(store)
    after = 0
    while batch := store.everything(after, BATCH):
        after = batch[-1][0]
        known = store.known({item.document.image_id for _, item in batch if item.document.image_id})
        for _, item in batch:
            problems += _document(item, collection.model.dim, set(known))
            problems += _place(item.document, known, files)
        progress(len(batch))
    for modality in MODALITIES:
        problems += _index(collection, store, modality)
    if collection.model.has_lexical:
        from crossmodal.collection.term_verification import problems_of_words

        problems += [Problem(*found) for found in problems_of_words(collection, store, SAMPLED)]
    return [*problems, *_files_beside(collection)]


def _files_beside(collection: Collection) -> Iterator[Problem]:
    """The calibration and the map, if they exist but can't be read; the errors say how to make them again."""
    readers: tuple[tuple[Path, Callable[[], object]], ...] = (
        (collection.calibration_path, lambda: Calibration.from_bytes(collection.calibration_path.read_bytes())),
        (collection.folder / picture_map.FILE, lambda: picture_map.read_map(collection.folder)),
    )
    for path, read in readers:
        try:
            if path.exists():
                read()
        except (StateError, OSError) as error:
            yield Problem(str(path), str(error))


def _database(store: DocumentStore) -> Iterator[Problem]:
    name = str(store.path)
    for (found,) in store.database.rows("PRAGMA integrity_check"):
        if found != "ok":
            yield Problem(name, f"{found}: move the collection away and index again, or import an export")
    for table, *_ in store.database.rows("PRAGMA foreign_key_check"):
        yield Problem(name, f"a row of {table} belongs to no document")
    for (document_id,) in store.database.rows(
        "SELECT id FROM documents WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.key = documents.key)"
    ):
        yield Problem(document_id, "has no vector: delete it and index it again")


def _document(item: NewDocument, dim: int, pictures: set[str]) -> Iterator[Problem]:
    document = item.document
    length = float(np.linalg.norm(item.vector)) if item.vector.shape == (dim,) else 0.0
    if not abs(length - 1) < UNIT_TOLERANCE:
        again = "delete it and index it again"
        yield Problem(document.id, f"its vector has {len(item.vector)} numbers and length {length:.4f}: {again}")
    if document.modality == "text":
        if document.image_id and document.image_id not in pictures:
            yield Problem(document.id, f"a caption of picture {document.image_id}, which is not there: delete it")
        return
    try:
        content = from_file(Path(document.uri)) if item.content is None else item.content
    except PictureError as error:
        yield Problem(document.uri or document.id, f"{error}: {_next_step(document.uri)}")
        return
    if image_id(content) != document.id:
        yield Problem(document.uri or document.id, "is not the picture that was taken in: index the data set again")


def _next_step(path: str) -> str:
    """The next step for a picture that can't be read from its file."""
    presence = Disk().look_at(path)
    if presence.state == "gone" and not presence.container:
        return "its file is gone: index the data set again, with --prune to take it out"
    if presence.state == "there":
        return "its file is there: make it readable, and keep it in the collection until then"
    if presence.container:
        return f"it was embedded in {presence.container}, and is not kept: index the data set again"
    return f"{presence.reason}: mount the disk or permit reading; it stays in the collection until then"


def _place(document: Document, pictures: Mapping[str, Document], files: SourceFiles) -> Iterator[Problem]:
    """A caption whose path is not one of its picture's."""
    again = "index the data set again to bring it up to date"
    picture = pictures.get(document.image_id)
    if picture is None or not (document.uri and picture.uri) or document.uri == picture.uri:
        return
    if document.uri not in files.paths_of(picture.id):
        yield Problem(document.id, f"a caption with the path {document.uri}, its picture has {picture.uri}: {again}")


def _index(collection: Collection, store: DocumentStore, modality: Modality) -> Iterator[Problem]:
    index = collection.index(store, modality)
    keys = store.keys(modality)
    if len(index) != len(keys):
        yield Problem(f"{modality} index", f"has {len(index)} vectors, the store {len(keys)}: run -t rebuild")
    if index.opening_problem:
        yield Problem(f"{modality} index", f"{index.opening_problem}: run -t rebuild")
    sample = keys[:: max(1, len(keys) // SAMPLED)]
    for key in sample.tolist():
        [(_, item)] = store.everything(key - 1, 1)
        scores, _ = index.search(item.vector[None], 1)
        if scores[0, 0] < 1 - UNIT_TOLERANCE:
            yield Problem(f"{modality} index", f"does not find {item.document.id} by its own vector: run -t rebuild")
