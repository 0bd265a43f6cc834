"""index: a data set into a collection, through the index Flow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crossmodal.core.errors import CrossModalError, InputError, PictureError, StateError
from crossmodal.core.report import Report
from crossmodal.core.settings import Settings
from crossmodal.core.types import Document, Failure, ImageRecord, ModelSpec, Skipped, Vectors, caption_id, image_id
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.images.sources import from_file
from crossmodal.index.collection import Collection, collection_folder, collections
from crossmodal.index.wanted import Wanted
from crossmodal.store.files import SourceFile, SourceFiles
from crossmodal.store.sqlite import DocumentStore
from gateway.flow import prepare_jina, running_flow
from gateway.ports import free_ports
from tasks.calibrate import Encode, calibrate, is_up_to_date
from tasks.progress import Meter

if TYPE_CHECKING:
    from executors.docs import MediaDoc

REPORT_NAME = "last-index.json"
CAPTIONS_A_REQUEST = 128


def open_collection(settings: Settings) -> Collection:
    """The collection of the settings, made for adding to where it is not there."""
    folder = folder_of(settings)
    weights = settings.weights or _own_weights(folder, settings.model)
    weights = weights or models.default_weights(settings.model, data_sets.canonical(settings.data_set))
    spec = resolve(settings.model, weights)
    if spec.base and settings.vocabulary:
        from crossmodal.encoders.sparse import SparseModel

        SparseModel.load(Path(spec.weights), settings.vocabulary)
    return Collection.create(folder, spec)


def _own_weights(folder: Path, family: str) -> str | None:
    """The weights that a collection of a family without default ones has already."""
    if family != "sparse" or folder.name not in collections(folder.parent):
        return None
    model = Collection.open(folder).model
    return model.weights if model.family == family else None


def resolve(model: str, weights: str) -> ModelSpec:
    """`registry.resolve`; all but the bundled weights in a process of its own.

    Finding out about them runs torch, and a process in which it has run can't fork a Flow.
    """
    if weights == models.BUNDLED:
        return models.resolve(model, weights)
    prepare_jina()  # the Flow needs what it imports, and so does that process, which has it from here
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(models.resolve, model, weights).result()


def folder_of(settings: Settings) -> Path:
    """Where the collection of the settings lies."""
    name = settings.collection or data_sets.collection_name(settings.data_set)
    return collection_folder(settings.workspace, name)


def run(settings: Settings, *, prune: bool = False, wanted: Wanted | None = None) -> tuple[Collection, Report]:
    """Indexes the data set; pictures first, then the captions of those that were taken in.

    Args:
        settings: The data set, the model, the collection.
        prune: Whether pictures and captions go that the data set had, and has no more.
        wanted: What kind of index it is to have; by default, what it has.

    Returns:
        The collection, and what became of every record; the report is also kept in the collection.

    Raises:
        InputError: The data set is not there.
        StateError: The collection is of another model, or the Flow failed. What was acknowledged is kept.
    """
    if prune and (settings.num_docs or settings.split):
        raise InputError("--prune takes the whole data set: leave out --num_docs and --split")
    records = list(_limited(data_sets.read(settings.data_set, settings.split), settings.num_docs))
    collection = open_collection(settings)
    collection = collection.wanting(wanted or collection.wanted)
    collection.store(writable=True).close()
    job = _Job(collection, _source(settings.data_set))
    private = replace(settings, port=free_ports(), host="127.0.0.1")
    try:
        with Sender(private, collection, job.release) as sender:
            sender.send("pictures", job.images(records), job.image_done, len(records))
            job.duplicates_done()
            if collection.model.family in models.IMAGE_ONLY:
                job.captions_left_out(settings.data_set)
            else:
                sender.send("captions", job.captions(), job.caption_done, job.n_captions(), CAPTIONS_A_REQUEST)
            if not prune and not is_up_to_date(collection):
                job.calibrate(sender.encode)
        job.release()
        job.note_wordless()
        job.keep_books(prune=prune)
        if prune and not is_up_to_date(collection):  # by what is left, and the Flow above was the writer till now
            with Sender(private, collection, job.release) as sender:
                job.calibrate(sender.encode)
    finally:
        job.release()
        job.report.write(collection.folder / REPORT_NAME)
    return collection, job.report


def _source(data_set: str) -> str:
    """The name by which the files of a data set are kept apart from those of others."""
    name = data_sets.canonical(data_set)
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def _limited(records: Iterable[ImageRecord | Failure | Skipped], at_most: int | None) -> Iterator[ImageRecord | Failure | Skipped]:
    n_images = 0
    for record in records:
        if isinstance(record, ImageRecord):
            n_images += 1
        if at_most is not None and n_images > at_most:
            return
        yield record


class Sender:
    """Sends documents through an index Flow, which is started when there is a first one to send."""

    def __init__(self, settings: Settings, collection: Collection, before_start: Callable[[], None]) -> None:
        self._settings, self._collection, self._before_start = settings, collection, before_start
        self._started = ExitStack()
        self._is_started = False

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._is_started and kind is None:
                self._flush()
        finally:
            self._started.close()

    def send(
        self, what: str, docs: Iterator[MediaDoc], done: Callable[[MediaDoc], None], total: int, request_size: int = 0
    ) -> None:
        """Sends all documents; `done` is called with each as it comes back."""
        first = next(docs, None)
        if first is None:
            return
        self._start()
        from gateway.client import call

        with Meter(what, total) as meter:

            def answered(found: Iterable[MediaDoc]) -> None:
                for doc in found:
                    done(doc)
                    meter.advance()

            settings = replace(self._settings, request_size=request_size or self._settings.request_size)
            call(settings, "/index", chain([first], docs), answered)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """The texts as unit vectors (n, dim), in order, by the collection's model.

        Raises:
            StateError: The Flow failed, or a text can't be encoded.
        """
        self._start()
        from executors.docs import MediaDoc
        from gateway.client import call

        vectors: dict[str, Vectors] = {}
        docs = [MediaDoc(id=str(place), modality="text", text=text) for place, text in enumerate(texts)]
        settings = replace(self._settings, request_size=CAPTIONS_A_REQUEST)
        call(settings, "/encode", docs, lambda found: vectors.update((doc.id, doc.embedding) for doc in found))
        missing = [doc.text for doc in docs if vectors.get(doc.id) is None]
        if missing:
            raise StateError(f"{len(missing)} texts were not encoded, first {missing[0]!r}")
        return np.stack([np.asarray(vectors[doc.id], np.float32) for doc in docs])

    def _start(self) -> None:
        if not self._is_started:
            self._before_start()
            flow = running_flow("index", self._collection, self._settings, read_paths=True)
            self._started.enter_context(flow)
            self._is_started = True

    def _flush(self) -> None:
        """Has both vector indexes written to their snapshots."""
        from executors.docs import MediaDoc
        from gateway.client import call

        call(self._settings, "/snapshot", iter([MediaDoc(id="snapshot")]), lambda _: None)


@cache
def _media_doc() -> type[MediaDoc]:
    """What is sent. Where nothing is, all that it takes to make one is not imported: seconds."""
    prepare_jina()
    from executors.docs import MediaDoc

    return MediaDoc


class _Job:
    """The bookkeeping of a run: which record is which document, and what became of it."""

    def __init__(self, collection: Collection, source: str) -> None:
        self.report = Report()
        self._collection, self._source = collection, source
        self._opened: DocumentStore | None = None
        self._sent: dict[str, ImageRecord] = {}  # by path, on their way
        self._taken: dict[str, list[ImageRecord]] = {}  # by image id: in the index now
        self._captions: dict[str, str] = {}  # by caption id: file name, on their way
        self._known_files = SourceFiles(self._store).of_source(source)
        self._files: dict[str, SourceFile] = {}  # by path, as they are now
        self._said_again: list[Document] = []  # known documents with another uri or other tags
        self._paths: set[str] = set()  # of all records
        self._new: list[str] = []  # ids of pictures that came in

    @property
    def _store(self) -> DocumentStore:
        if self._opened is None:
            self._opened = self._collection.store()
        return self._opened

    def release(self) -> None:
        """Closes the store until it is needed again: an open SQLite file must not be carried over a fork."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def images(self, records: Iterable[ImageRecord | Failure | Skipped]) -> Iterator[MediaDoc]:
        """The pictures that have to be sent; the others are accounted for on the way."""
        for record in records:
            if isinstance(record, Failure):
                self.report.fail(record)
                continue
            if isinstance(record, Skipped):
                self.report.skipped.append(record)
                continue
            path = os.path.realpath(record.path)
            self._paths.add(path)
            try:
                key = self._id_of(path)
            except PictureError as error:
                self._fail(record, str(error))
                continue
            if self._is_known(key, path, record):
                continue
            self._sent[path] = record
            yield _media_doc()(id=key, modality="image", uri=path, tags=record.tags)

    def _id_of(self, path: str) -> str:
        """The id of a picture; a file that looks as it did when it was taken in is not read again."""
        now, before = SourceFile.on_disk(path), self._known_files.get(path)
        if now is not None and before is not None and now.is_like(before):
            key = before.image_id
        else:
            key = image_id(from_file(Path(path)))
        if now is not None:
            self._files[path] = replace(now, image_id=key)
        return key

    def _is_known(self, key: str, uri: str, record: ImageRecord) -> bool:
        """Whether the record need not be sent: it is in the store, or the same picture came before it."""
        if key in self._taken:
            self._taken[key].append(record)
            return True
        self._taken[key] = [record]
        known = self._store.document(key)
        if known is None:
            return False
        is_here = known.uri == uri or not Path(known.uri).exists()
        tags = {**known.tags, **record.tags}
        if is_here and (known.uri, known.tags) != (uri, tags):
            self._said_again.append(replace(known, uri=uri, tags=tags))
        self.report.count("image", "unchanged")
        return True

    def image_done(self, doc: MediaDoc) -> None:
        """Accounts for a picture that came back; a failure is one of all files with that content."""
        record = self._sent.pop(doc.uri)
        if not doc.error:
            self.report.count("image", doc.outcome)
            self._new.append(doc.id)
            return
        for same in self._taken.pop(doc.id or "", [record]):
            self._fail(same, doc.error)

    def duplicates_done(self) -> None:
        """Accounts for files with the content of another."""
        for first, *others in self._taken.values():
            for record in others:
                self.report.count("image", "unchanged")
                self.report.note(str(record.path), f"the same picture as {first.path}")

    def note_wordless(self) -> None:
        """Names the new pictures of a sparse collection that have no word."""
        if self._collection.model.base is None or not self._new:
            return
        from tasks.words import wordless

        for picture in wordless(self._collection.model, self._store, self._new):
            reason = "none of the model's words fits it: it is found by its vector and its captions"
            self.report.note(picture.uri, reason)

    def _fail(self, record: ImageRecord, reason: str) -> None:
        self.report.fail(Failure(str(record.path), reason))
        for _ in record.captions:
            self.report.fail(Failure(str(record.path), "a caption of a picture that could not be taken in", "text"))

    def keep_books(self, *, prune: bool) -> None:
        """Keeps where each picture is now, and removes the old picture where a file has a new one.

        With `prune`, what the data set had and has no more is removed as well.
        """
        with self._collection.store(writable=True) as store:
            store.describe(self._said_again)
            taken_in = store.known(file.image_id for file in self._files.values())
            files = {path: file for path, file in self._files.items() if file.image_id in taken_in}
            gone = {path for path, before in self._known_files.items() if self._is_gone(before, files, prune=prune)}
            left_without = self._left_without_a_file(store, gone)
            stale = self._stale_captions(store) if prune else []
            for document in store.remove([*left_without, *stale]):
                self.report.count(document.modality, "removed")
                if document.modality == "image":
                    reason = "the file has another picture now" if document.uri in files else "the file is gone"
                    self.report.note(document.uri, f"removed from the index: {reason}")
            SourceFiles(store).forget(gone)
            SourceFiles(store).put(self._source, files.values())

    def _is_gone(self, before: SourceFile, files: dict[str, SourceFile], *, prune: bool) -> bool:
        now = files.get(before.path)
        if now is not None:
            return now.image_id != before.image_id
        return prune and before.path not in self._paths

    def _left_without_a_file(self, store: DocumentStore, gone: set[str]) -> list[str]:
        """The pictures that no file has any more once these are gone, and that none has now."""
        here = {file.image_id for file in self._files.values()}
        candidates = {self._known_files[path].image_id for path in gone} - here
        known = SourceFiles(store)
        return [image for image in candidates if not set(known.paths_of(image)) - gone]

    def _stale_captions(self, store: DocumentStore) -> list[str]:
        """Captions that came with the data set, of pictures that it still has, and that it has no more."""
        stale = []
        for key, records in self._taken.items():
            told = {caption for record in records for caption in record.captions}
            stale += [known.id for known in store.captions_of(key) if known.uri and known.text not in told]
        return stale

    def calibrate(self, encode: Encode) -> None:
        """Finds out what the scores mean; where that fails, all that was indexed stays, and it is noted."""
        try:
            calibrate(self._collection, encode)
        except CrossModalError as error:
            self.report.note(str(self._collection.root), f"not calibrated, so results have no relevance: {error}")

    def n_captions(self) -> int:
        """How many captions there are to look at."""
        return sum(len(record.captions) for records in self._taken.values() for record in records)

    def captions_left_out(self, data_set: str) -> None:
        """Notes how many captions the model has no use for."""
        if self.n_captions():
            model = self._collection.model
            self.report.note(data_set, f"{self.n_captions()} captions left out: {model} knows pictures only")

    def captions(self) -> Iterator[MediaDoc]:
        """The captions that have to be sent, of pictures that are in the index."""
        for key, records in self._taken.items():
            told = {caption: record for record in records for caption in record.captions}
            ids = {caption_id(caption, key): caption for caption in told}
            known = self._store.known(ids)
            for own_id, caption in ids.items():
                if own_id in known:
                    self.report.count("text", "unchanged")
                    continue
                record = told[caption]
                self._captions[own_id] = record.path.name
                yield _media_doc()(
                    id=own_id, modality="text", text=caption, image_id=key,
                    uri=str(record.path.resolve()), tags=record.tags,
                )  # fmt: skip

    def caption_done(self, doc: MediaDoc) -> None:
        """Accounts for a caption that came back."""
        name = self._captions.pop(doc.id or "")
        if doc.error:
            self.report.fail(Failure(name, f"caption {doc.text!r}: {doc.error}", "text"))
        else:
            self.report.count("text", doc.outcome)
