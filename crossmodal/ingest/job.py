"""The bookkeeping of an indexing run: which record is which document, and what became of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import PictureError
from crossmodal.core.report import Report
from crossmodal.core.types import Document, Failure, ImageRecord, Record, Skipped, caption_id, image_id
from crossmodal.images.sources import from_file, of_record
from crossmodal.ingest.derived import follow
from crossmodal.ingest.removals import RemovalPlan, plan_removals, too_much
from crossmodal.ingest.store_reader import StoreReader
from crossmodal.store.presence import Disk, container_of
from crossmodal.store.source_files import SourceFile, SourceFiles
from crossmodal.store.sqlite import DocumentStore

LISTED = 20
"""How many pictures that would be removed are named in a message."""


@dataclass(frozen=True)
class Pending:
    """A picture to encode; `content` are its encoded bytes where no file of its own holds them."""

    document: Document
    content: bytes | None = None


class IndexJob(StoreReader):
    """One run over a data set. The caller encodes and commits what `images` and `captions` yield, in between.

    The order is `images`, `duplicates_done`, `captions`, `reconcile_files`; `image_done` and `caption_done` are
    called with each document as its fate is known.
    """

    def __init__(self, collection: Collection, source: str) -> None:
        super().__init__(collection)
        self.report = Report()
        self._source = source
        self._sent: dict[str, ImageRecord] = {}  # by path, on their way
        self._taken: dict[str, list[ImageRecord]] = {}  # by image id: in the index now
        self._captions: dict[str, str] = {}  # by caption id: file name, on their way
        self._known_files = SourceFiles(self.store).of_source(source)
        self._files: dict[str, SourceFile] = {}  # by path, as they are now
        self._paths: set[str] = set()  # of all records
        self._is_whole = True
        self.new: list[str] = []
        """Ids of the pictures that came in."""

    # -- pictures

    def images(self, records: Iterable[Record]) -> Iterator[Pending]:
        """The pictures that have to be encoded; the other records are accounted for on the way."""
        for record in records:
            if isinstance(record, Skipped):
                self.report.skipped.append(record)
                continue
            if isinstance(record, Failure):
                self._is_whole = self._is_whole and record.modality == "image"
                self.report.fail(record)
                continue
            path = path_of(record)
            self._paths.add(path)
            try:
                key, content = self._id_of(path, record)
                if record.content is not None and content is None and self.store.document(key) is None:
                    content = of_record(record)
            except PictureError as error:
                self._is_whole = self._is_whole and record.content is None
                self._fail(record, str(error))
                continue
            if self._is_known(key, record):
                continue
            self._sent[path] = record
            yield Pending(Document(key, "image", uri=path, tags=record.tags), content)

    def _id_of(self, path: str, record: ImageRecord) -> tuple[str, bytes | None]:
        """The id of a picture, with its bytes where it is embedded and new.

        A file that has the size and time it had when it was taken in is not read again.
        """
        container = None if record.content is None else container_of(Path(path))
        now = SourceFile.on_disk(path, str(container or path))
        before = self._known_files.get(path)
        content = None
        if now is not None and before is not None and now.is_like(before):
            key = before.image_id
        elif record.content is not None:
            content = of_record(record)
            key = image_id(content)
        else:
            key = image_id(from_file(Path(path)))
        if now is not None:
            self._files[path] = replace(now, image_id=key)
        return key, content

    def _is_known(self, key: str, record: ImageRecord) -> bool:
        """Whether the record need not be encoded: it is in the store, or the same picture came before it."""
        if key in self._taken:
            self._taken[key].append(record)
            return True
        self._taken[key] = [record]
        if self.store.document(key) is None:
            return False
        self.report.count("image", "unchanged")
        return True

    def image_done(self, uri: str, document_id: str, outcome: str, error: str = "", note: str = "") -> None:
        """Accounts for a picture that was encoded; a failure is one of all files with that content."""
        record = self._sent.pop(uri)
        hashed = self._files.get(uri)
        if not error and hashed is not None and hashed.image_id != document_id:  # it was replaced in between
            del self._files[uri]
            self._taken[document_id] = self._taken.pop(hashed.image_id, [record])
        if not error:
            self.report.count("image", outcome)
            self.new.append(document_id)
            if note:
                self.report.note(str(record.path), note)
            return
        for same in self._taken.pop(document_id, [record]):
            self._fail(same, error)

    def duplicates_done(self) -> None:
        """Accounts for files with the content of another."""
        for first, *others in self._taken.values():
            for record in others:
                self.report.count("image", "unchanged")
                self.report.note(str(record.path), f"the same picture as {first.path}")

    def _fail(self, record: ImageRecord, reason: str) -> None:
        self.report.fail(Failure(str(record.path), reason))
        for _ in record.captions:
            self.report.fail(Failure(str(record.path), "a caption of a picture that could not be taken in", "text"))

    # -- captions

    def n_captions(self) -> int:
        """How many captions there are to look at."""
        return sum(len(record.captions) for records in self._taken.values() for record in records)

    def some_captions(self, at_most: int) -> list[str]:
        """The first captions of the run."""
        told = (caption for records in self._taken.values() for record in records for caption in record.captions)
        return list(islice(told, at_most))

    def captions(self) -> Iterator[Document]:
        """The captions that have to be encoded, of pictures that are in the index."""
        for key, records in self._taken.items():
            told = {caption: record for record in records for caption in record.captions}
            ids = {caption_id(caption, key): caption for caption in told}
            known = self.store.known(ids)
            for own_id, caption in ids.items():
                if own_id in known:
                    self.report.count("text", "unchanged")
                    continue
                record = told[caption]
                self._captions[own_id] = record.path.name
                yield Document(
                    own_id, "text", uri=path_of(record), text=caption, image_id=key, tags=record.tags
                )  # fmt: skip

    def caption_done(self, document_id: str, text: str, outcome: str, error: str = "", note: str = "") -> None:
        """Accounts for a caption that was encoded."""
        name = self._captions.pop(document_id)
        if error:
            self.report.fail(Failure(name, f"caption {text!r}: {error}", "text"))
            return
        self.report.count("text", outcome)
        if note:
            self.report.note(name, f"caption {text[:60]!r}: {note}")

    # -- the books

    def reconcile_files(self, *, prune: bool, confirmed: bool = False) -> None:
        """Brings what follows from the files' places up to date, and removes what its files have no more.

        Args:
            prune: Whether what the data set lists no more is removed as well, where it is proven to be gone.
            confirmed: Whether that may be a large part of the collection.

        Where that would be a large part and is not confirmed, everything else is done, nothing is removed by `prune`,
        and the report's `refusal` lists what would be.
        """
        with self._collection.store(writable=True) as store:
            stale = self._stale_captions(store) if prune else []
            self._follow_files(store)
            taken_in = store.known(file.image_id for file in self._files.values())
            files = {path: file for path, file in self._files.items() if file.image_id in taken_in}
            plan = self._plan(store, files, stale, prune=prune)
            self.report.notes += plan.kept
            excess = "" if confirmed else too_much(plan, store)
            if excess:
                self.report.refusal = _refusal(excess, plan, store)
                plan = self._plan(store, files, [], prune=False)
            for document in store.remove(plan.ids):
                self.report.count(document.modality, "removed")
                if document.id in plan.pictures:
                    self.report.note(document.uri, f"removed from the index: {plan.pictures[document.id]}")
            books = SourceFiles(store)
            books.forget(plan.forgotten)
            books.put(self._source, files.values())

    def _plan(
        self, store: DocumentStore, files: dict[str, SourceFile], stale: list[str], *, prune: bool
    ) -> RemovalPlan:
        return plan_removals(
            store, self._known_files, files,
            seen=self._paths, prune=prune, is_whole=self._is_whole, stale_captions=stale,
        )  # fmt: skip

    def _stale_captions(self, store: DocumentStore) -> list[str]:
        """Captions that came with the data set, of pictures that it still has, and that it has no more."""
        disk = Disk()

        def is_ours(uri: str) -> bool:
            """Whether a caption came with a file that was read now, or that is proven to be gone."""
            return uri in self._paths or (uri in self._known_files and disk.look_at(uri).state == "gone")

        stale = []
        for key, records in self._taken.items():
            told = {caption for record in records for caption in record.captions}
            stale += [known.id for known in store.captions_of(key) if known.text not in told and is_ours(known.uri)]
        return stale

    def _follow_files(self, store: DocumentStore) -> None:
        """Puts the current path, names and folders into pictures and captions that have older ones."""
        contents = {path: file.image_id for path, file in self._files.items()}
        changed: list[Document] = []
        pictures = store.known(self._taken)
        for key, picture in pictures.items():
            places: dict[str, ImageRecord] = {}
            for record in self._taken[key]:
                path = path_of(record)
                if path not in places or record.path.name == os.path.basename(path):  # rather than a link to it
                    places[path] = record
            changed += follow(picture, store.captions_of(key), places, contents)
        store.describe(changed)

    def note_unused_captions(self, data_set: str) -> None:
        """Notes how many captions the model has no use for."""
        if self.n_captions():
            model = self._collection.model
            self.report.note(data_set, f"{self.n_captions()} captions left out: {model} knows pictures only")


def path_of(record: ImageRecord) -> str:
    """The absolute path of a record's picture, by which its file is known in a collection."""
    return os.path.realpath(record.path)


def _refusal(excess: str, plan: RemovalPlan, store: DocumentStore) -> str:
    ids = [own for own in plan.ids if own in plan.pruned]
    documents = store.known(ids[:LISTED])
    named = [f"  {_name(documents[own])}: {(plan.pictures | plan.captions)[own]}" for own in ids[:LISTED]]
    more = [f"  ... and {len(ids) - LISTED} more"] if len(ids) > LISTED else []
    return "\n".join(
        [
            f"--prune would remove {excess}, more than a quarter of the collection; nothing was pruned:",
            *named,
            *more,
            "check that all disks are mounted, then confirm with --yes",
        ]
    )


def _name(document: Document) -> str:
    return document.uri or document.id if document.modality == "image" else f"caption {document.text!r}"
