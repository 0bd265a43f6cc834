"""index: adds a data set to a collection, in this process or through the index Flow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.local_session import LocalSession
from cli.location import folder_of
from cli.printing import say_aside
from cli.progress import Count
from crossmodal.collection.calibration import calibrate, is_up_to_date
from crossmodal.collection.collection import Collection, collections
from crossmodal.core.engine import EngineRequest, MadeWith
from crossmodal.core.errors import CrossModalError, InputError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason
from crossmodal.core.report import Report
from crossmodal.core.settings import Settings
from crossmodal.core.types import ImageRecord, ModelSpec, Record
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.encoders.engine_choice import Say, precision_of_new
from crossmodal.encoders.photos import foreign_note
from crossmodal.index.config import IndexConfig
from crossmodal.ingest.job import IndexJob
from crossmodal.store.locks import check_writable

if TYPE_CHECKING:
    from cli.flow_session import FlowSession

    Session = LocalSession | FlowSession

log = logging.getLogger(__name__)

REPORT_NAME = "last-index.json"
CAPTIONS_SAMPLED = 500
"""Number of captions checked for a language that the model does not support."""


def open_collection(
    settings: Settings,
    resolve: Callable[[str, str], ModelSpec] = models.resolve,
    precision: Callable[[ModelSpec, EngineRequest, Say], MadeWith] = precision_of_new,
) -> Collection:
    """The collection of the settings, created if it does not exist.

    Args:
        settings: The collection and its model.
        resolve: Returns the spec of a family and weights; a process that starts a Flow passes `flow_session.resolve`.
        precision: Returns the precision of a new collection; such a process passes `flow_session.precision_of_new`.

    Raises:
        StateError: It exists with another model than the settings'.
    """
    folder = folder_of(settings)
    family, weights = settings.model, settings.weights
    if weights is None and folder.name in collections(folder.parent):
        model = Collection.open(folder).model
        if model.family == family or not settings.model_named:
            family, weights = model.family, model.weights
    weights = weights or models.default_weights(family, data_sets.canonical(settings.data_set))
    spec = resolve(family, weights)
    if spec.has_lexical and settings.vocabulary:
        from crossmodal.lexical.model import SparseModel

        SparseModel.load(Path(spec.weights), settings.vocabulary)
    if folder.name in collections(folder.parent):
        return Collection.create(folder, spec)  # checks the model
    return Collection.create(folder, spec, precision(spec, settings.engine, say_aside))


def run(
    settings: Settings,
    *,
    by_flow: bool = False,
    prune: bool = False,
    confirmed: bool = False,
    index_config: IndexConfig | None = None,
) -> tuple[Collection, Report]:
    """Indexes the data set: pictures first, then the captions of those that were indexed.

    Args:
        settings: The data set, the model and the collection.
        by_flow: Whether to index through a private Flow; otherwise in this process. Both leave the same collection.
        prune: Whether to remove pictures and captions that are no longer in the data set.
        confirmed: Whether `prune` may remove a large part of the collection.
        index_config: The new kind of index; by default the collection's.

    Returns:
        The collection, and the outcome of every record; the report is also written into the collection's folder. Its
        `refusal` has the reason if `prune` would have removed a large part and was not confirmed.

    Raises:
        InputError: The data set does not exist, or options contradict each other.
        StateError: The collection has another model, or the Flow failed. Acknowledged documents are kept.
    """
    check_writable(folder_of(settings))
    is_whole = not (settings.num_docs or settings.split)
    if prune and not is_whole:
        raise InputError("--prune needs the whole data set: remove --num-docs and --split")
    if confirmed and not prune:
        raise InputError("--yes confirms the removals of --prune: add --prune, or remove --yes")
    with Count("pictures found") as count:
        read = data_sets.read(settings.data_set, settings.split, settings.columns, settings.exclude, count.show)
    records = list(data_sets.limited(read, ImageRecord, settings.num_docs))
    collection = _collection(settings, by_flow=by_flow)
    collection = collection.with_index_config(index_config or collection.index_config)
    collection.store(writable=True).close()
    job = IndexJob(collection, data_sets.source_name(settings.data_set))
    session = _session(settings, collection, job, by_flow=by_flow)
    run_job(job, collection, session, settings.data_set, records, prune=prune, confirmed=confirmed, is_whole=is_whole)
    return collection, job.report


def run_job(
    job: IndexJob,
    collection: Collection,
    session: Session,
    data_set: str,
    records: Sequence[Record],
    *,
    prune: bool,
    confirmed: bool,
    is_whole: bool = True,
) -> None:
    """Does a job, with `prune` and `confirmed` as for `run`; its report is also written into the collection's folder.

    `is_whole` says that the records are the whole data set.

    Raises:
        StateError: The session failed, or another process writes to the collection. What is committed stays.
    """
    try:
        with session:
            _add(job, collection, session, data_set, records)
            if not prune and not is_up_to_date(collection):
                _calibrate(job, collection, session)
        job.release()
        _note_wordless(job, collection)
        job.release()
        job.reconcile(prune=prune, confirmed=confirmed, is_whole=is_whole)
        if prune and not is_up_to_date(collection):  # after the removals, when the session has released the lock
            with session:
                _calibrate(job, collection, session)
    finally:
        job.release()
        _write_report(job.report, collection.folder / REPORT_NAME)


def _collection(settings: Settings, *, by_flow: bool) -> Collection:
    if not by_flow:
        return open_collection(settings)
    from cli.flow_session import precision_of_new as precision
    from cli.flow_session import resolve

    return open_collection(settings, resolve, precision)


def _session(settings: Settings, collection: Collection, job: IndexJob, *, by_flow: bool) -> Session:
    if not by_flow:
        return LocalSession(settings, collection)
    from cli.flow_session import FlowSession

    return FlowSession(settings, collection, job.release)


def _add(job: IndexJob, collection: Collection, session: Session, data_set: str, records: Sequence[Record]) -> None:
    """Encodes and commits the pictures and captions that are new."""
    counts = job.report.counts
    pictures = job.images(records, readers=session.readers)
    session.send_pictures(pictures, job.image_done, lambda: len(records) - job.n_passed)
    job.duplicates_done()
    if "text" not in collection.model.modalities:
        job.note_unused_captions(data_set)
        return
    n_captions = job.n_captions()
    session.send_captions(job.captions(), job.caption_done, lambda: n_captions - counts["text"]["unchanged"])
    is_new = counts["text"]["indexed"] > 0
    if is_new and (note := foreign_note(collection.model.weights, job.some_captions(CAPTIONS_SAMPLED))):
        job.report.note(data_set, note)


def _calibrate(job: IndexJob, collection: Collection, session: Session) -> None:
    """Calibrates the collection; a failure is noted in the report and does not undo the indexing."""
    try:
        calibrate(collection, session.encode)
    except CrossModalError as error:
        job.report.note(str(collection.root), f"not calibrated, so results have no relevance: {error}")


def _note_wordless(job: IndexJob, collection: Collection) -> None:
    """Notes the new pictures of a sparse collection for which the model has no word."""
    if not collection.model.has_lexical or not job.ledger.new:
        return
    from crossmodal.lexical.indexes import wordless

    for picture in wordless(collection.model, job.store, job.ledger.new):
        why = "no word of the model describes it: only its vector and its captions are searched"
        job.report.note(picture.uri, why)


def _write_report(report: Report, path: Path) -> None:
    """Writes the report of a run; a failure is logged and does not change the outcome of the run."""
    try:
        write_atomically(path, report.to_bytes())
    except OSError as error:
        log.warning("the report of this run was not written to %s: %s", path, reason(error, path))
