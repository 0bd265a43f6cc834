"""reindex: the stored pictures and captions, encoded by another model, beside the collection; then all at once
in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cli.index import CAPTIONS_A_REQUEST, IndexSession, folder_of, resolve
from crossmodal.collection.calibration import calibrate
from crossmodal.collection.collection import Collection
from crossmodal.core.errors import PictureError, StateError
from crossmodal.core.report import Report
from crossmodal.core.settings import Settings
from crossmodal.core.types import Document, Failure, Modality, image_id
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.images.sources import from_file
from crossmodal.ingest.store_reader import StoreReader
from crossmodal.store.database import writer_lock
from crossmodal.store.presence import Disk
from crossmodal.store.source_files import SourceFiles
from crossmodal.store.sqlite import NewDocument
from serving.jina.ports import reserve_port_pair
from serving.jina.supervisor import prepare_jina

if TYPE_CHECKING:
    from executors.schema import MediaDoc

READ_AT_ONCE = 500


def run(settings: Settings, *, without_failures: bool) -> tuple[Collection, Report]:
    """Encodes a collection by the model of the settings; the old state stays for `-t rollback`.

    While it runs, the collection is served as it is, and can't be written to.

    Args:
        settings: The collection, and the model it gets.
        without_failures: Whether pictures are left behind whose files are gone, have another picture now, or can't be
            decoded; otherwise nothing changes where there are any. Those whose files could not be looked at are never
            left behind.

    Returns:
        The new state, and what became of every document.

    Raises:
        StateError: Pictures can't be read, another process writes to the collection, or the Flow failed. The
            collection is as it was.
    """
    before = Collection.open(folder_of(settings))
    weights = settings.weights or models.default_weights(settings.model, data_sets.canonical(settings.data_set))
    model = resolve(settings.model, weights)
    with writer_lock(before.folder):
        made = before.next_generation(model).with_index_config(before.index_config)
        job = _Job(before)
        private = replace(settings, port=reserve_port_pair(), host="127.0.0.1")
        with IndexSession(private, made, job.release) as sender:
            sender.send("pictures", job.pictures(), job.done, job.count("image"))
            if model.family in models.IMAGE_ONLY:
                job.report.note(str(before.root), f"its captions are left out: {model} knows pictures only")
            else:
                sender.send("captions", job.captions(), job.done, job.count("text"), CAPTIONS_A_REQUEST)
            calibrate(made, sender.encode)
        job.release()
        if job.unproven or (job.report.failures and not without_failures):
            listed = "\n".join(job.report.lines())
            unproven = f"{job.unproven} of them may still be there: mount their disks and make the files readable; "
            raise StateError(
                f"{len(job.report.failures)} documents can't be taken along, so nothing was changed:\n{listed}\n"
                + (unproven if job.unproven else "")
                + "bring the files back, or leave behind those that are gone with --prune"
            )
        with before.store() as old, made.store(writable=True) as new:
            for source, files in SourceFiles(old).by_source().items():
                SourceFiles(new).put(source, files)
        before.becomes_current(made)
    return Collection.open(before.root), job.report


class _Job(StoreReader):
    """Reads the documents of the old state, and keeps what became of each."""

    def __init__(self, before: Collection) -> None:
        super().__init__(before)
        self.report = Report()
        self.unproven = 0
        """How many pictures could not be read, though their files are not gone."""

    def count(self, modality: Modality) -> int:
        """How many documents there are."""
        return self.store.counts()[modality]

    def _documents(self, modality: Modality) -> Iterator[NewDocument]:
        after = 0
        while batch := self.store.everything(after, READ_AT_ONCE):
            after = batch[-1][0]
            yield from (item for _, item in batch if item.document.modality == modality)

    def pictures(self) -> Iterator[MediaDoc]:
        """The pictures that are still what they were; the others are failures."""
        prepare_jina()
        from executors.schema import MediaDoc, to_array

        for item in self._documents("image"):
            document = item.document
            doc = MediaDoc(id=document.id, modality="image", uri=document.uri, tags=document.tags)
            if item.content is not None:
                doc.content = to_array(item.content)
            else:
                reason, is_proven = _what_is_wrong(document)
                if reason:
                    self.report.fail(Failure(document.uri, reason))
                    self.unproven += not is_proven
                    continue
            yield doc

    def captions(self) -> Iterator[MediaDoc]:
        """The captions."""
        from executors.schema import MediaDoc

        for item in self._documents("text"):
            said = item.document
            yield MediaDoc(
                id=said.id, modality="text", text=said.text, image_id=said.image_id, uri=said.uri, tags=said.tags
            )

    def done(self, doc: MediaDoc) -> None:
        """Accounts for a document that came back."""
        modality: Modality = "text" if doc.modality == "text" else "image"
        if doc.error:
            self.report.fail(Failure(doc.uri or doc.id, doc.error, modality))
        else:
            self.report.count(modality, doc.outcome)


def _what_is_wrong(document: Document) -> tuple[str, bool]:
    """Why a picture can't be taken from its file, or nothing; and whether its file was seen to have it no more."""
    try:
        same = image_id(from_file(Path(document.uri))) == document.id
    except PictureError as error:
        presence = Disk().look_at(document.uri)
        return str(error), presence.state == "gone" and not presence.container
    return "" if same else "has another picture now", True
