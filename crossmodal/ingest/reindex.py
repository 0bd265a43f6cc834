"""Re-encodes a collection with another model: selects the stored documents, and reports the outcome of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from crossmodal.collection.collection import Collection
from crossmodal.collection.indexes import every_index
from crossmodal.core.ahead import map_ahead
from crossmodal.core.errors import PictureError, StateError
from crossmodal.core.reading import Reading
from crossmodal.core.report import Report
from crossmodal.core.types import Document, Failure, Modality, image_id
from crossmodal.images.sources import from_uri, is_object_url
from crossmodal.ingest.job import READ_AHEAD, READERS, EncodedDocument, Pending
from crossmodal.ingest.store_reader import StoreReader
from crossmodal.store.known_folders import all_folders, copy_folders
from crossmodal.store.presence import Disk
from crossmodal.store.protocol import Store
from crossmodal.store.records import NewDocument
from crossmodal.store.saved_searches import copy_searches
from crossmodal.store.source_files import SourceFile

READ_AT_ONCE = 500


class ReindexJob(StoreReader):
    """Reads the documents of a collection, and records the outcome of each.

    The caller encodes the documents of `images` and `captions` into the next generation, passes each encoded document
    to `done`, and calls `finish`.
    """

    def __init__(self, collection: Collection) -> None:
        super().__init__(collection)
        self.report = Report()
        self.n_unproven = 0
        """Number of pictures that could not be read, but whose files may still exist, object stores not counted."""
        self.n_remote = 0
        """Number of pictures that are in an object store."""
        self._known_folders = all_folders(collection.folder)

    def count(self, modality: Modality) -> int:
        """The number of documents of a modality."""
        return self.store.counts()[modality]

    def images(self) -> Iterator[Pending]:
        """The pictures that can still be read; reports the others as failures."""
        documents = self._documents("image")
        disk = Disk(self._known_folders)
        for read in map_ahead(lambda it: _read(it, disk), documents, threads=READERS, at_most=READ_AHEAD, size=_size):
            item = self._of_copy(read, disk) if isinstance(read, _Fault) else read
            if isinstance(item, Pending):
                yield item
            else:
                self.report.fail(item.failure)
                is_remote = is_object_url(item.document.uri)
                self.n_remote += is_remote
                self.n_unproven += not (is_remote or item.is_proven)

    def captions(self) -> Iterator[Document]:
        """The captions."""
        for item in self._documents("text"):
            yield item.document

    def _of_copy(self, fault: _Fault, disk: Disk) -> Pending | _Fault:
        """The picture from another of its files; with the fault proven only if it is for all of them."""
        is_proven = fault.is_proven
        for path in self.store.files.paths_of(fault.document.id):
            if path != fault.document.uri:
                copy = _read_file(replace(fault.document, uri=path), disk)
                if isinstance(copy, Pending):
                    return copy
                is_proven &= copy.is_proven
        return replace(fault, is_proven=is_proven)

    def _documents(self, modality: Modality) -> Iterator[NewDocument]:
        after = 0
        while batch := self.store.everything(after, READ_AT_ONCE):
            after = batch[-1][0]
            yield from (item for _, item in batch if item.document.modality == modality)

    def done(self, doc: EncodedDocument) -> None:
        """Records the outcome of an encoded document."""
        modality: Modality = "text" if doc.modality == "text" else "image"
        if doc.error:
            self.report.fail(Failure(doc.uri or doc.id, doc.error, modality))
        else:
            self.report.count(modality, doc.outcome)

    def finish(self, made: Collection, *, without_failures: bool) -> None:
        """Makes the new generation current.

        Args:
            made: The generation that the documents were encoded into.
            without_failures: Whether to drop pictures that failed, except those whose files may still exist.

        Raises:
            StateError: Documents failed, which the report lists, and may not be dropped; the collection is unchanged.
        """
        self.release()
        if self.n_unproven or self.n_remote or (self.report.failures and not without_failures):
            raise StateError(self._why_unchanged())
        with self._collection.store() as old, made.store(writable=True) as new:
            for source, files in old.files.by_source().items():
                new.files.put(source, files)
            _copy_readings(old, new)
            copy_searches(old.searches, new.searches)
            for index in every_index(made, new).values():  # also that of the readings, which were added only now
                index.snapshot()
        copy_folders(self._collection.folder, made.folder)
        self._collection.becomes_current(made)

    def _why_unchanged(self) -> str:
        steps = []
        if self.n_remote:
            steps.append(
                f"{self.n_remote} of them are in an object store, which reindex does not read: `encode` them with the "
                "new model and `import` that as another collection"
            )
        if self.n_unproven:
            steps.append(f"{self.n_unproven} of them may still exist: mount their disks and make the files readable")
        if self.n_remote < len(self.report.failures):
            steps.append("restore the files, or drop missing ones with --prune")
        n = len(self.report.failures)
        return f"{n} documents can't be encoded again, so nothing was changed: {'; '.join(steps)}"


def _copy_readings(old: Store, new: Store) -> None:
    last = old.copying.numbers().last_key
    for after in range(0, last, READ_AT_ONCE):
        rows = old.readings.rows(after, after + READ_AT_ONCE)
        new.readings.put((row.image_id, Reading.from_json(row.content)) for row in rows)


@dataclass(frozen=True)
class _Fault:
    """The failure of a picture that can't be read from its file, and whether the file certainly lacks the picture."""

    document: Document
    failure: Failure
    is_proven: bool


def _read(item: NewDocument, disk: Disk) -> Pending | _Fault:
    """A stored picture with its encoded bytes from the store or from its file; called in several threads."""
    return _read_file(item.document, disk) if item.content is None else Pending(item.document, item.content)


def _read_file(document: Document, disk: Disk) -> Pending | _Fault:
    try:
        content = from_uri(document.uri)
    except PictureError as error:
        presence = disk.look_at(document.uri)
        is_proven = presence.state == "gone" and not presence.container
        return _Fault(document, Failure(document.uri, str(error)), is_proven)
    if image_id(content) != document.id:
        return _Fault(document, Failure(document.uri, "now contains another picture"), is_proven=True)
    return Pending(document, content)


def _size(item: NewDocument) -> int:
    """The bytes that a picture holds or will read."""
    file = SourceFile.on_disk(item.document.uri)
    return len(item.content) if item.content is not None else file.size if file is not None else 1
