"""An indexing run: selects the records to encode, and reports the outcome of each record.

The order of a run is `images`, `duplicates_done`, `captions`, `reconcile`. The caller encodes and commits the documents
of `images` and `captions`, and passes each encoded document to `image_done` or `caption_done`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import PictureError
from crossmodal.core.report import Report
from crossmodal.core.types import Document, Failure, ImageRecord, Record, Skipped, caption_id, image_id
from crossmodal.images.sources import from_file, of_record
from crossmodal.ingest.ledger import Ledger, path_of
from crossmodal.ingest.reconcile import reconcile
from crossmodal.ingest.store_reader import StoreReader
from crossmodal.store.presence import container_of
from crossmodal.store.source_files import SourceFile, SourceFiles


@dataclass(frozen=True)
class Pending:
    """A picture to encode; `content` has its encoded bytes if it has no file of its own."""

    document: Document
    content: bytes | None = None


class EncodedDocument(Protocol):
    """A document after encoding and commit, with an `outcome` or an `error`; `note` is information for the user."""

    id: str
    modality: str
    uri: str
    text: str
    outcome: str
    error: str
    note: str


class IndexJob(StoreReader):
    """One run over a data set.

    A new file is read twice: here to compute its id, and by the Flow to encode it. Sending the bytes instead gains
    nothing for pictures of 160 KB, and for pictures of 1 MB takes a quarter more processor time and 15 % more memory,
    because each picture then passes through two more processes. The second read is served by the page cache. If the
    file changes in between, the encoded document has another id, which `image_done` adopts.
    """

    def __init__(self, collection: Collection, source: str) -> None:
        """Starts a run.

        Args:
            collection: The collection to index into; its store must exist.
            source: The name of the data set.
        """
        super().__init__(collection)
        self.report = Report()
        self.ledger = Ledger(source, SourceFiles(self.store).of_source(source))
        self._sent: dict[str, ImageRecord] = {}  # by path, of pictures that are being encoded
        self._caption_names: dict[str, str] = {}  # by caption id: the file name, of captions that are being encoded
        self.new: list[str] = []
        """The ids of the pictures that this run has encoded."""

    # -- pictures

    def images(self, records: Iterable[Record]) -> Iterator[Pending]:
        """The pictures to encode; counts and reports the other records."""
        for record in records:
            if isinstance(record, Skipped):
                self.report.skipped.append(record)
            elif isinstance(record, Failure):
                self.ledger.is_complete &= record.modality == "image"
                self.report.fail(record)
            else:
                yield from self._pending(record)

    def _pending(self, record: ImageRecord) -> Iterator[Pending]:
        """The record's picture, if it has to be encoded."""
        path = path_of(record)
        self.ledger.listed.add(path)
        try:
            key, content = self._id_of(path, record)
            if record.content is not None and content is None and self.store.document(key) is None:
                content = of_record(record)
        except PictureError as error:
            self.ledger.is_complete &= record.content is None
            self._fail(record, str(error))
            return
        if not self._is_known(key, record):
            self._sent[path] = record
            yield Pending(Document(key, "image", uri=path, tags=record.tags), content)

    def _id_of(self, path: str, record: ImageRecord) -> tuple[str, bytes | None]:
        """The id of a picture, and its bytes if it is embedded and was read.

        A file whose size and time have not changed since it was indexed is not read again.
        """
        container = None if record.content is None else container_of(Path(path))
        now = SourceFile.on_disk(path, str(container or path))
        indexed = self.ledger.known_files.get(path)
        content = None
        if now is not None and indexed is not None and now.is_like(indexed):
            key = indexed.image_id
        elif record.content is not None:
            content = of_record(record)
            key = image_id(content)
        else:
            key = image_id(from_file(Path(path)))
        if now is not None:
            self.ledger.files[path] = replace(now, image_id=key)
        return key, content

    def _is_known(self, key: str, record: ImageRecord) -> bool:
        """Whether the record needs no encoding, because its picture is in the store or occurred earlier in this run."""
        if key in self.ledger.pictures:
            self.ledger.pictures[key].append(record)
            return True
        self.ledger.pictures[key] = [record]
        if self.store.document(key) is None:
            return False
        self.report.count("image", "unchanged")
        return True

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
        self.new.append(doc.id)
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
        for key in self.ledger.pictures:
            texts = self.ledger.captions_of(key)
            ids = {caption_id(text, key): text for text in texts}
            known = self.store.known(ids)
            for text_id, text in ids.items():
                if text_id in known:
                    self.report.count("text", "unchanged")
                    continue
                record = texts[text]
                self._caption_names[text_id] = record.path.name
                yield Document(text_id, "text", uri=path_of(record), text=text, image_id=key, tags=record.tags)

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

    def reconcile(self, *, prune: bool, confirmed: bool = False) -> None:
        """Calls `ingest.reconcile.reconcile` with the collection's store open for writing."""
        with self._collection.store(writable=True) as store:
            reconcile(store, self.ledger, self.report, prune=prune, confirmed=confirmed)
