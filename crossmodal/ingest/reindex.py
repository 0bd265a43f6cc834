"""Re-encodes a collection with another model: selects the stored documents, and reports the outcome of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import PictureError, StateError
from crossmodal.core.report import Report
from crossmodal.core.types import Document, Failure, Modality, image_id
from crossmodal.images.sources import from_file
from crossmodal.ingest.job import EncodedDocument, Pending
from crossmodal.ingest.store_reader import StoreReader
from crossmodal.store.presence import Disk
from crossmodal.store.source_files import SourceFiles
from crossmodal.store.sqlite import NewDocument

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
        """Number of pictures that could not be read, but whose files may still exist."""

    def count(self, modality: Modality) -> int:
        """The number of documents of a modality."""
        return self.store.counts()[modality]

    def images(self) -> Iterator[Pending]:
        """The pictures that can still be read; reports the others as failures."""
        for item in self._documents("image"):
            document = item.document
            if item.content is None:
                reason, is_proven = _fault_of(document)
                if reason:
                    self.report.fail(Failure(document.uri, reason))
                    self.n_unproven += not is_proven
                    continue
            yield Pending(document, item.content)

    def captions(self) -> Iterator[Document]:
        """The captions."""
        for item in self._documents("text"):
            yield item.document

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
            StateError: Documents failed and may not be dropped; the collection is unchanged.
        """
        self.release()
        if self.n_unproven or (self.report.failures and not without_failures):
            listed = "\n".join(self.report.lines())
            unproven = f"{self.n_unproven} of them may still exist: mount their disks and make the files readable; "
            raise StateError(
                f"{len(self.report.failures)} documents can't be encoded again, so nothing was changed:\n{listed}\n"
                + (unproven if self.n_unproven else "")
                + "restore the files, or drop missing ones with --prune"
            )
        with self._collection.store() as old, made.store(writable=True) as new:
            for source, files in SourceFiles(old).by_source().items():
                SourceFiles(new).put(source, files)
        self._collection.becomes_current(made)


def _fault_of(document: Document) -> tuple[str, bool]:
    """The reason why a picture can't be read from its file, or "", and whether the file certainly lacks the picture."""
    try:
        is_same = image_id(from_file(Path(document.uri))) == document.id
    except PictureError as error:
        presence = Disk().look_at(document.uri)
        return str(error), presence.state == "gone" and not presence.container
    return "" if is_same else "now contains another picture", True
