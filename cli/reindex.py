"""reindex: the documents of a collection, encoded by another model beside it, then put in its place at once."""

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
    """Encodes a collection by the model of the settings; `-t rollback` restores the old state.

    While it runs, the collection is served as it is, and can't be written to.

    Args:
        settings: The collection and its new model.
        without_failures: Whether pictures are left behind whose files are gone, contain another picture, or can't be
            decoded; otherwise any failure leaves the collection unchanged. Pictures whose files can't be checked are
            never left behind.

    Returns:
        The new state, and the outcome of every document.

    Raises:
        StateError: Pictures can't be read, another process writes to the collection, or the Flow failed. The
            collection is unchanged.
    """
    before = Collection.open(folder_of(settings))
    weights = settings.weights or models.default_weights(settings.model, data_sets.canonical(settings.data_set))
    model = resolve(settings.model, weights)
    with writer_lock(before.folder):
        made = before.next_generation(model).with_index_config(before.index_config)
        job = ReindexJob(before)
        private = replace(settings, port=reserve_port_pair(), host="127.0.0.1")
        with IndexSession(private, made, job.release) as session:
            session.send("pictures", map(image_doc, job.images()), job.done, job.count("image"))
            if "text" not in model.modalities:
                job.report.note(str(before.root), f"its captions are left out: {model} encodes images only")
            else:
                captions = map(caption_doc, job.captions())
                session.send("captions", captions, job.done, job.count("text"), CAPTIONS_PER_REQUEST)
            calibrate(made, session.encode)
        job.finish(made, without_failures=without_failures)
    return Collection.open(before.root), job.report
