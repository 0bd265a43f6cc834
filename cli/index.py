"""index: a data set into a collection, through the index Flow."""

from __future__ import annotations

import logging
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

from cli.progress import Meter
from crossmodal.collection.calibration import calibrate, is_up_to_date
from crossmodal.collection.collection import Collection, collection_folder, collections
from crossmodal.core.errors import CrossModalError, InputError, StateError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason
from crossmodal.core.report import Report
from crossmodal.core.settings import Settings
from crossmodal.core.types import Document, ImageRecord, ModelSpec, Record, Vectors
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.encoders.photos import foreign_note
from crossmodal.index.config import IndexConfig
from crossmodal.ingest.job import IndexJob, Pending
from crossmodal.store.database import check_writable
from serving.jina.ports import reserve_port_pair
from serving.jina.supervisor import prepare_jina, running_flow

if TYPE_CHECKING:
    from executors.schema import MediaDoc

log = logging.getLogger(__name__)

REPORT_NAME = "last-index.json"
CAPTIONS_A_REQUEST = 128
CAPTIONS_LOOKED_AT = 500
"""How many captions tell which language they are in."""


def open_collection(settings: Settings) -> Collection:
    """The collection of the settings, made for adding to where it is not there.

    One that is there keeps its model unless another is asked for, which is refused.
    """
    folder = folder_of(settings)
    family, weights = settings.model, settings.weights
    if weights is None and folder.name in collections(folder.parent):
        own = Collection.open(folder).model
        if own.family == family or not settings.model_named:
            family, weights = own.family, own.weights
    weights = weights or models.default_weights(family, data_sets.canonical(settings.data_set))
    spec = resolve(family, weights)
    if spec.base and settings.vocabulary:
        from crossmodal.lexical.model import SparseModel

        SparseModel.load(Path(spec.weights), settings.vocabulary)
    return Collection.create(folder, spec)


def resolve(model: str, weights: str) -> ModelSpec:
    """`registry.resolve`; all but the bundled weights in a process of its own.

    Finding out about them runs torch, and a process in which it has run can't fork a Flow.
    """
    if weights in models.BUNDLED_NAMES:
        return models.resolve(model, weights)
    prepare_jina()  # the Flow needs what it imports, and so does that process, which has it from here
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(models.resolve, model, weights).result()


def folder_of(settings: Settings) -> Path:
    """Where the collection of the settings lies."""
    name = settings.collection or data_sets.collection_name(settings.data_set)
    return collection_folder(settings.workspace, name)


def run(
    settings: Settings, *, prune: bool = False, confirmed: bool = False, index_config: IndexConfig | None = None
) -> tuple[Collection, Report]:
    """Indexes the data set; pictures first, then the captions of those that were taken in.

    Args:
        settings: The data set, the model, the collection.
        prune: Whether pictures and captions go that the data set had, and has no more.
        confirmed: Whether `prune` may remove a large part of the collection.
        index_config: What kind of index it is to have; by default, what it has.

    Returns:
        The collection, and what became of every record; the report is also kept in the collection. Its `refusal` says
        why nothing was pruned, where `prune` would have removed a large part and was not confirmed.

    Raises:
        InputError: The data set is not there.
        StateError: The collection is of another model, or the Flow failed. What was acknowledged is kept.
    """
    check_writable(folder_of(settings))
    if prune and (settings.num_docs or settings.split):
        raise InputError("--prune takes the whole data set: leave out --num_docs and --split")
    if confirmed and not prune:
        raise InputError("--yes confirms what --prune removes: give both, or leave it out")
    records = list(_limited(data_sets.read(settings.data_set, settings.split, settings.columns), settings.num_docs))
    collection = open_collection(settings)
    collection = collection.with_index_config(index_config or collection.index_config)
    collection.store(writable=True).close()
    job = IndexJob(collection, _source(settings.data_set))
    private = replace(settings, port=reserve_port_pair(), host="127.0.0.1")
    try:
        with IndexSession(private, collection, job.release) as sender:
            sender.send("pictures", map(_picture_doc, job.images(records)), job.image_done, len(records))
            job.duplicates_done()
            if collection.model.family in models.IMAGE_ONLY:
                job.note_unused_captions(settings.data_set)
            else:
                captions = map(_caption_doc, job.captions())
                sender.send("captions", captions, job.caption_done, job.n_captions(), CAPTIONS_A_REQUEST)
                if note := foreign_note(collection.model.weights, job.some_captions(CAPTIONS_LOOKED_AT)):
                    job.report.note(settings.data_set, note)
            if not prune and not is_up_to_date(collection):
                _calibrate(job, collection, sender)
        job.release()
        _note_wordless(job, collection)
        job.release()
        job.reconcile(prune=prune, confirmed=confirmed)
        if prune and not is_up_to_date(collection):  # by what is left, and the Flow above was the writer till now
            with IndexSession(private, collection, job.release) as sender:
                _calibrate(job, collection, sender)
    finally:
        job.release()
        _keep(job.report, collection.folder / REPORT_NAME)
    return collection, job.report


def _picture_doc(pending: Pending) -> MediaDoc:
    doc = _media_doc()(id=pending.document.id, modality="image", uri=pending.document.uri, tags=pending.document.tags)
    if pending.content is not None:
        from executors.schema import to_array

        doc.content = to_array(pending.content)
    return doc


def _caption_doc(caption: Document) -> MediaDoc:
    return _media_doc()(
        id=caption.id, modality="text", text=caption.text, image_id=caption.image_id, uri=caption.uri, tags=caption.tags
    )


def _calibrate(job: IndexJob, collection: Collection, sender: IndexSession) -> None:
    """Finds out what the scores mean; where that fails, all that was indexed stays, and it is noted."""
    try:
        calibrate(collection, sender.encode)
    except CrossModalError as error:
        job.report.note(str(collection.root), f"not calibrated, so results have no relevance: {error}")


def _note_wordless(job: IndexJob, collection: Collection) -> None:
    """Names the new pictures of a sparse collection that have no word."""
    if collection.model.base is None or not job.new:
        return
    from cli.words import wordless

    for picture in wordless(collection.model, job.store, job.new):
        why = "none of the model's words fits it: it is found by its vector and its captions"
        job.report.note(picture.uri, why)


def _keep(report: Report, path: Path) -> None:
    """Writes the report of a run beside its collection; where that can't be done, the run ends as it would."""
    try:
        write_atomically(path, report.to_bytes())
    except OSError as error:
        log.warning("the report of this run is not kept in %s: %s", path, reason(error, path))


def _source(data_set: str) -> str:
    """The name by which the files of a data set are kept apart from those of others."""
    name = data_sets.canonical(data_set)
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def _limited(records: Iterable[Record], at_most: int | None) -> Iterator[Record]:
    n_images = 0
    for record in records:
        if isinstance(record, ImageRecord):
            n_images += 1
        if at_most is not None and n_images > at_most:
            return
        yield record


class IndexSession:
    """Sends documents through an index Flow, which is started when there is a first one to send."""

    def __init__(self, settings: Settings, collection: Collection, before_start: Callable[[], None]) -> None:
        self._settings, self._collection, self._before_start = settings, collection, before_start
        self._started = ExitStack()
        self._is_started = False

    def __enter__(self) -> IndexSession:
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
        from serving.jina.flow_client import call

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
        from executors.schema import MediaDoc
        from serving.jina.flow_client import call

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
        from executors.schema import MediaDoc
        from serving.jina.flow_client import call

        call(self._settings, "/snapshot", iter([MediaDoc(id="snapshot")]), lambda _: None)


@cache
def _media_doc() -> type[MediaDoc]:
    """What is sent. Where nothing is, all that it takes to make one is not imported: seconds."""
    prepare_jina()
    from executors.schema import MediaDoc

    return MediaDoc
