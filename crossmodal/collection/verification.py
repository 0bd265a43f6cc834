"""Checks the consistency of a collection's store, indexes and image files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.collection.picture_map import read_map
from crossmodal.collection.shared_state import MAP
from crossmodal.core.errors import NotWritableError, PictureError, StateError
from crossmodal.core.types import MODALITIES, Document, Modality, image_id
from crossmodal.images.sources import from_file, is_object_url
from crossmodal.index.dense import UNIT_TOLERANCE
from crossmodal.relevance.rules import Calibration
from crossmodal.store.copying import PAGE
from crossmodal.store.presence import Disk
from crossmodal.store.protocol import SourceFiles, Store
from crossmodal.store.records import NewDocument

SAMPLED = 1_000
"""Number of vectors per index that are searched for; checksums cover the whole files."""
_CHANGED = (
    "has changed since it was indexed: index the data set again; a file with its earlier size and time is not read, so "
    "touch it first"
)


@dataclass(frozen=True)
class Inconsistency:
    """An inconsistent item; `reason` has the problem and the next step."""

    item: str
    reason: str


@dataclass(frozen=True)
class Verification:
    """The numbers of documents of a collection, and its problems.

    The files of `in_object_store` pictures were not checked, since they are in an object store.
    """

    images: int
    captions: int
    in_object_store: int
    problems: list[Inconsistency]


def verify(collection: Collection, progress: Callable[[int], None]) -> Verification:
    """Compares the store, the indexes and the image files of a collection.

    Holds the collection's writer lock, unless this user may only read it.

    Args:
        collection: The collection.
        progress: Called with the number of further documents that were checked.
    """
    try:
        store = collection.store(writable=True)
    except NotWritableError:
        store = collection.store()
    with store:
        return verify_collection(collection, store, progress)


def verify_collection(collection: Collection, store: Store, progress: Callable[[int], None]) -> Verification:
    """As `verify`; the problems are those of the database, then of documents, then of indexes and other files.

    Args:
        collection: The collection.
        store: The collection's open store.
        progress: Called with the number of further documents that were checked.
    """
    problems = [Inconsistency(*problem) for problem in store.problems()]
    after = n_in_object_store = 0
    while batch := store.everything(after, PAGE):
        after = batch[-1][0]
        known = store.known({item.document.image_id for _, item in batch if item.document.image_id})
        for _, item in batch:
            problems += _document(item, collection.model.dim, set(known))
            problems += _caption_path(item.document, known, store.files)
            n_in_object_store += _is_in_object_store(item)
        progress(len(batch))
    for modality in MODALITIES:
        problems += _index(collection, store, modality)
    if collection.model.has_lexical:
        from crossmodal.collection.term_verification import problems_of_words

        problems += [Inconsistency(*problem) for problem in problems_of_words(collection, store, SAMPLED)]
    counts = store.counts()
    return Verification(counts["image"], counts["text"], n_in_object_store, [*problems, *_files_beside(collection)])


def _files_beside(collection: Collection) -> Iterator[Inconsistency]:
    """Problems of the calibration and the map if they exist but can't be read."""
    readers: tuple[tuple[Path, Callable[[], object]], ...] = (
        (collection.calibration_path, lambda: Calibration.from_bytes(collection.calibration_path.read_bytes())),
        (collection.folder / MAP, lambda: read_map(collection.folder)),
    )
    for path, read in readers:
        try:
            if path.exists():
                read()
        except (StateError, OSError) as error:
            yield Inconsistency(str(path), str(error))


def _document(item: NewDocument, dim: int, pictures: set[str]) -> Iterator[Inconsistency]:
    document = item.document
    length = float(np.linalg.norm(item.vector)) if item.vector.shape == (dim,) else 0.0
    if not abs(length - 1) < UNIT_TOLERANCE:
        next_step = "delete it and index it again"
        yield Inconsistency(
            document.id, f"its vector has {len(item.vector)} numbers and length {length:.4f}: {next_step}"
        )
    if document.modality == "text":
        if document.image_id and document.image_id not in pictures:
            yield Inconsistency(
                document.id, f"a caption of picture {document.image_id}, which does not exist: delete it"
            )
        return
    if _is_in_object_store(item):  # needs credentials, and costs a transfer each
        return
    try:
        content = from_file(Path(document.uri)) if item.content is None else item.content
    except PictureError as error:
        yield Inconsistency(document.uri or document.id, f"{error}: {_next_step(document.uri)}")
        return
    if image_id(content) != document.id:
        yield Inconsistency(document.uri or document.id, _CHANGED)


def _is_in_object_store(item: NewDocument) -> bool:
    return item.document.modality == "image" and item.content is None and is_object_url(item.document.uri)


def _next_step(path: str) -> str:
    """The next step for an image file that can't be read."""
    presence = Disk().look_at(path)
    if presence.is_gone:
        return "its file is gone: index the data set again, with --prune to remove it"
    if presence.state == "there":
        return "its file is there: make it readable, and keep it in the collection until then"
    if presence.container:
        return f"it was embedded in {presence.container}, and was not stored: index the data set again"
    return f"{presence.reason}: mount the disk or permit reading; it stays in the collection until then"


def _caption_path(document: Document, pictures: Mapping[str, Document], files: SourceFiles) -> Iterator[Inconsistency]:
    """The problem of a caption with a path that its image does not have; imported images have no known paths."""
    next_step = "index the data set again to bring it up to date"
    picture = pictures.get(document.image_id)
    if picture is None or not (document.uri and picture.uri) or document.uri == picture.uri:
        return
    paths = files.paths_of(picture.id)
    if paths and document.uri not in paths:
        yield Inconsistency(
            document.id, f"a caption with the path {document.uri}, but its picture has {picture.uri}: {next_step}"
        )


def _index(collection: Collection, store: Store, modality: Modality) -> Iterator[Inconsistency]:
    index = collection.index(store, modality)
    keys = store.keys(modality)
    if len(index) != len(keys):
        yield Inconsistency(f"{modality} index", f"has {len(index)} vectors, the store {len(keys)}: run -t rebuild")
    if index.opening_problem:
        yield Inconsistency(f"{modality} index", f"{index.opening_problem}: run -t rebuild")
    sample = keys[:: max(1, len(keys) // SAMPLED)]
    for key in sample.tolist():
        [(_, item)] = store.everything(key - 1, 1)
        scores, _ = index.search(item.vector[None], 1)
        if scores[0, 0] < 1 - UNIT_TOLERANCE:
            yield Inconsistency(f"{modality} index", f"does not find {item.document.id} by its vector: run -t rebuild")
