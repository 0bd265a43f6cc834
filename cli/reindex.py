"""reindex: encodes a collection with another model beside the old state, then switches to the new state at once.

With `--metadata` it only reads the metadata of the pictures again.
"""

from __future__ import annotations

from dataclasses import replace

from cli.local_session import LocalSession
from cli.location import collection_of
from cli.printing import say, say_aside
from cli.progress import Meter
from crossmodal.collection.calibration import calibrate
from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.report import Report
from crossmodal.core.settings import Settings
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.encoders.engine_choice import precision_of_new
from crossmodal.ingest.metadata import MetadataReport, add_metadata
from crossmodal.ingest.reindex import ReindexJob
from crossmodal.store.locks import writer_lock


def run(settings: Settings, *, without_failures: bool) -> tuple[Collection, Report]:
    """Encodes a collection with the model of the settings; `-t rollback` restores the old state.

    Meanwhile, services read the old state, and nothing can be written to the collection.

    Args:
        settings: The collection and its new model.
        without_failures: Whether to drop pictures whose files are missing, contain another picture, or can't be
            decoded; otherwise any failure leaves the collection unchanged. Pictures whose files can't be checked are
            never dropped.

    Returns:
        The new state, and the outcome of every document.

    Raises:
        StateError: Pictures can't be read, or another process writes to the collection. It is unchanged.
    """
    old = collection_of(settings)
    weights = settings.weights or models.default_weights(settings.model, data_sets.canonical(settings.data_set))
    model = models.resolve(settings.model, weights)
    with writer_lock(old.folder):
        made_with = precision_of_new(model, settings.engine, say_aside)
        new = old.next_generation(model, made_with).with_index_config(old.index_config)
        job = ReindexJob(old)
        with LocalSession(replace(settings, metadata="none"), new) as session:  # the documents keep their tags
            session.send_pictures(job.images(), job.done, lambda: job.count("image"))
            if "text" not in model.modalities:
                job.report.note(str(old.root), f"captions skipped: {model} encodes images only")
            else:
                session.send_captions(job.captions(), job.done, lambda: job.count("text"))
            calibrate(new, session.encode)
        try:
            job.finish(new, without_failures=without_failures)
        except StateError:
            say(*job.report.lines(), err=True)
            raise
    return Collection.open(old.root), job.report


def read_metadata(settings: Settings) -> MetadataReport:
    """Adds the tags of their metadata to the pictures of a collection that lack them, without encoding.

    Raises:
        StateError: Another process writes to the collection.
    """
    collection = collection_of(settings)
    with collection.store(writable=True) as store, Meter("pictures", store.counts()["image"]) as meter:
        return add_metadata(store, settings.metadata, meter.advance)
