"""reindex: encodes a collection with another model beside the old state, then switches to the new state at once."""

from __future__ import annotations

from dataclasses import replace

from cli.index import folder_of, resolve
from cli.index_session import CAPTIONS_PER_REQUEST, IndexSession, caption_doc, image_doc
from crossmodal.collection.calibration import calibrate
from crossmodal.collection.collection import Collection
from crossmodal.core.report import Report
from crossmodal.core.settings import Settings
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.ingest.reindex import ReindexJob
from crossmodal.store.locks import writer_lock
from serving.jina.ports import reserve_port_pair


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
        StateError: Pictures can't be read, another process writes to the collection, or the Flow failed. The
            collection is unchanged.
    """
    old = Collection.open(folder_of(settings))
    weights = settings.weights or models.default_weights(settings.model, data_sets.canonical(settings.data_set))
    model = resolve(settings.model, weights)
    with writer_lock(old.folder):
        new = old.next_generation(model).with_index_config(old.index_config)
        job = ReindexJob(old)
        private = replace(settings, port=reserve_port_pair(), host="127.0.0.1")
        with IndexSession(private, new, job.release) as session:
            session.send("pictures", map(image_doc, job.images()), job.done, job.count("image"))
            if "text" not in model.modalities:
                job.report.note(str(old.root), f"captions skipped: {model} encodes images only")
            else:
                captions = map(caption_doc, job.captions())
                session.send("captions", captions, job.done, job.count("text"), CAPTIONS_PER_REQUEST)
            calibrate(new, session.encode)
        job.finish(new, without_failures=without_failures)
    return Collection.open(old.root), job.report
