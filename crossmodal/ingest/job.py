"""An indexing run: selects the records to encode, and reports the outcome of each record.

The order of a run is `images`, `duplicates_done`, `captions`, `reconcile`. The caller encodes and commits the documents
of `images` and `captions`, and passes each encoded document to `image_done` or `caption_done`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from crossmodal.collection.collection import Collection
from crossmodal.core.ahead import map_ahead
from crossmodal.core.batched import batched
from crossmodal.core.errors import PictureError
from crossmodal.core.report import Report
from crossmodal.core.types import Document, Failure, ImageRecord, Record, Skipped, caption_id, image_id
from crossmodal.images.sources import of_record
from crossmodal.ingest.ledger import Ledger
from crossmodal.ingest.reconcile import PICTURES_AT_ONCE, reconcile
from crossmodal.ingest.store_reader import StoreReader
from crossmodal.store.known_folders import FolderState, all_folders, folders_above, read_folders, write_folders
from crossmodal.store.presence import container_of
from crossmodal.store.source_files import SourceFile

READERS, READ_AHEAD = 4, 64
"""Threads that read new files, and records that are looked at ahead of the encoding."""


@dataclass(frozen=True)
class Pending:
    """A picture to encode, and its encoded bytes."""

    document: Document
    content: bytes

    @property
    def content_without_file(self) -> bytes | None:
        """The encoded bytes of a picture that has no file of its own, to store them; None for others."""
        return None if os.path.isfile(self.document.uri) else self.content


@dataclass(frozen=True)
class _Look:
    """A record and what is known of its picture before it is compared with the store.

    `file` is its file or container, None if it can't be checked. `key` is the picture's id; it is empty while the
    picture has to be read. `content` stays None if the file is unchanged since it was indexed; the picture is then in
    the store, which forgets the files of pictures that it removes. `error` has the reason if it can't be read.
    """

    record: ImageRecord
    path: str
    file: SourceFile | None
    key: str = ""
    content: bytes | None = None
    error: str = ""


def _read(look: _Look) -> _Look:
    """With the picture read, if its id is not known; called in several threads."""
    if look.key:
        return look
    try:
        content = of_record(look.record)
    except PictureError as error:
        return replace(look, error=str(error))
    return replace(look, key=image_id(content), content=content)


def _read_any(look: _Look | Skipped | Failure) -> _Look | Skipped | Failure:
    return _read(look) if isinstance(look, _Look) else look


def _size(look: _Look | Skipped | Failure) -> int:
    """The bytes that it holds or will read."""
    if not isinstance(look, _Look) or (look.key and look.content is None):
        return 0
    return len(look.content) if look.content is not None else look.file.size if look.file else 0


class EncodedDocument(Protocol):
    """A document after encoding and commit, with an `outcome` or an `error`; `note` is information for the user."""

    id: str
    modality: str
    uri: str
    text: str
    outcome: str
    error: str
    note: str


Done = Callable[[EncodedDocument], None]
"""Called with each document after its commit or its failure."""


class IndexJob(StoreReader):
    """One run over a data set.

    A new file is read here, to compute its id. A Flow is not sent the bytes but reads the file again, from the page
    cache: sending them gains nothing for pictures of 160 KB, and for pictures of 1 MB takes a quarter more processor
    time and 15 % more memory, because each picture then passes through two more processes. If the file changes in
    between, the encoded document has another id, which `image_done` adopts.
    """

    def __init__(self, collection: Collection, source: str) -> None:
        """Starts a run.

        Args:
            collection: The collection to index into; its store must exist.
            source: The name of the data set.
        """
        super().__init__(collection)
        self.report = Report()
        known_folders = read_folders(collection.folder, source)
        self.ledger = Ledger(source, self.store.files.of_source(source), known_folders)
        self._sent: dict[str, ImageRecord] = {}  # by path, of pictures that are being encoded
        self._caption_names: dict[str, str] = {}  # by caption id: the file name, of captions that are being encoded
        self.n_passed = 0
        """The number of records so far whose pictures are not encoded."""

    # -- pictures

    def images(self, records: Iterable[Record], *, readers: int = 0) -> Iterator[Pending]:
        """The pictures to encode; counts and reports the other records.

        Args:
            records: The records of the data set.
            readers: Threads that read files ahead; 0 in a process that will fork.
        """
        looks = map_ahead(_read_any, map(self._look, records), threads=readers, at_most=READ_AHEAD, size=_size)
        for look in looks:
            pending = None
            if isinstance(look, Skipped):
                self.report.skipped.append(look)
                self.ledger.excluded |= {os.path.realpath(path): look.reason for path in look.excluded}
            elif isinstance(look, Failure):
                self.ledger.is_complete &= look.modality == "image"
                self.report.fail(look)
            else:
                pending = self._pending(look)
            if pending is None:
                self.n_passed += 1
            else:
                yield pending

    def _look(self, record: Record) -> _Look | Skipped | Failure:
        """A record with the state of its file.

        A file whose size and time have not changed since it was indexed is not read again.
        """
        if not isinstance(record, ImageRecord):
            return record
        path = record.real_path
        container = None if record.content is None else container_of(Path(path))
        folders = self._new_folders(str(container or path))
        file = SourceFile.on_disk(path, str(container or path))
        if file is not None:
            self.ledger.folders |= folders
        indexed = self.ledger.known_files.get(path)
        if file is not None and indexed is not None and file.is_like(indexed):
            return _Look(record, path, indexed, indexed.image_id)
        look = _Look(record, path, file)
        return look if record.content is None else _read(look)  # only this thread reads containers

    def _new_folders(self, path: str) -> dict[str, FolderState]:
        """The folders above a file that are not in the ledger yet, in their current state."""
        if os.path.dirname(path) in self.ledger.folders:
            return {}
        states = {folder: FolderState.of(folder) for folder in folders_above([path]) - self.ledger.folders.keys()}
        return {folder: state for folder, state in states.items() if state is not None}

    def _pending(self, look: _Look) -> Pending | None:
        """The record's picture, None if it does not have to be encoded."""
        record, records_of = look.record, self.ledger.pictures
        self.ledger.listed.add(look.path)
        if look.error:
            self.ledger.is_complete &= record.content is None
            self._fail(record, look.error)
            return None
        if look.file is not None:
            is_same = look.content is None
            self.ledger.files[look.path] = look.file if is_same else replace(look.file, image_id=look.key)
        if look.key in records_of:
            records_of[look.key].append(record)
            return None
        records_of[look.key] = [record]
        if look.content is None or self.store.document(look.key) is not None:
            self.report.count("image", "unchanged")
            return None
        self._sent[look.path] = record
        return Pending(Document(look.key, "image", uri=look.path, tags=record.tags), look.content)

    def image_done(self, doc: EncodedDocument) -> None:
        """Records the outcome of an encoded picture; a failure applies to all files with the same content."""
        record = self._sent.pop(doc.uri)
        if doc.error:
            for copy in self.ledger.pictures.pop(doc.id, [record]):
                self._fail(copy, doc.error)
            return
        hashed = self.ledger.picture_in(doc.uri)
        if hashed is not None and hashed != doc.id:  # the file was replaced after its first read
            del self.ledger.files[doc.uri]
            self.ledger.pictures[doc.id] = self.ledger.pictures.pop(hashed, [record])
        self.report.count("image", doc.outcome)
        self.ledger.new.append(doc.id)
        if doc.note:
            self.report.note(str(record.path), doc.note)

    def duplicates_done(self) -> None:
        """Counts and reports files with the same content as another file."""
        for first, *others in self.ledger.pictures.values():
            for record in others:
                self.report.count("image", "unchanged")
                self.report.note(str(record.path), f"the same picture as {first.path}")

    def _fail(self, record: ImageRecord, reason: str) -> None:
        self.report.fail(Failure(str(record.path), reason))
        for _ in record.captions:
            self.report.fail(Failure(str(record.path), "a caption of a picture that was not indexed", "text"))

    # -- captions

    def n_captions(self) -> int:
        """The number of captions of the pictures of this run."""
        return sum(len(record.captions) for records in self.ledger.pictures.values() for record in records)

    def some_captions(self, at_most: int) -> list[str]:
        """The first captions of the run."""
        captions = (
            caption for records in self.ledger.pictures.values() for record in records for caption in record.captions
        )
        return list(islice(captions, at_most))

    def captions(self) -> Iterator[Document]:
        """The captions to encode, of pictures that are in the collection; counts the others."""
        for keys in batched(self.ledger.pictures, PICTURES_AT_ONCE):
            captions = {
                caption_id(text, key): (key, text, record)
                for key in keys
                for text, record in self.ledger.captions_of(key).items()
            }
            known = self.store.known(captions)
            for text_id, (key, text, record) in captions.items():
                if text_id in known:
                    self.report.count("text", "unchanged")
                    continue
                self._caption_names[text_id] = record.path.name
                yield Document(text_id, "text", uri=record.real_path, text=text, image_id=key, tags=record.tags)

    def caption_done(self, doc: EncodedDocument) -> None:
        """Records the outcome of an encoded caption."""
        name = self._caption_names.pop(doc.id)
        if doc.error:
            self.report.fail(Failure(name, f"caption {doc.text!r}: {doc.error}", "text"))
            return
        self.report.count("text", doc.outcome)
        if doc.note:
            self.report.note(name, f"caption {doc.text[:60]!r}: {doc.note}")

    def note_unused_captions(self, data_set: str) -> None:
        """Reports the number of captions that an image-only model can't encode."""
        if n := self.n_captions():
            self.report.note(data_set, f"{n} captions skipped: {self._collection.model} encodes images only")

    # -- the end of the run

    def reconcile(self, *, prune: bool, confirmed: bool = False, is_whole: bool = True) -> None:
        """Calls `ingest.reconcile.reconcile` with the collection's store open for writing."""
        if prune or (is_whole and self.ledger.known_files.keys() - self.ledger.listed):
            self.ledger.all_folders = all_folders(self._collection.folder)
        with self._collection.store(writable=True) as store:
            # Before the files: those of an unrecorded mount point would count as gone when it is unmounted.
            folders = self.ledger.folders_of(self.ledger.known_files.keys() | self.ledger.files.keys())
            if folders != self.ledger.known_folders:
                write_folders(self._collection.folder, self.ledger.source, folders)
            reconcile(store, self.ledger, self.report, prune=prune, confirmed=confirmed, is_whole=is_whole)
