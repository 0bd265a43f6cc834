"""tag: gives the pictures of a collection labels of a list."""

from __future__ import annotations

from pathlib import Path

from cli.local_session import LocalSession
from cli.location import collection_of
from cli.progress import Meter
from crossmodal.collection import labels as labelling
from crossmodal.core.settings import Settings
from crossmodal.evaluation.classes import name_query
from crossmodal.store.locks import check_writable


def tag(settings: Settings, path: Path, threshold: float, *, dry_run: bool) -> labelling.TagReport:
    """Labels the pictures of the collection of the settings, or with `dry_run` only says what it would do.

    Raises:
        InputError: The file has no labels, or the model no words for them.
        StateError: The collection can't be written to.
    """
    labels = labelling.read_labels(path)
    collection = collection_of(settings)
    if not dry_run:
        check_writable(collection.folder)
    with LocalSession(settings, collection) as session:
        rule = labelling.label_rule(collection, session.encode)
        phrases = session.encode([name_query(phrase) for label in labels for phrase in label.phrases])
    with (
        collection.store(writable=not dry_run) as store,
        Meter("pictures", store.counts()["image"]) as meter,
    ):
        return labelling.tag(store, labels, rule, phrases, threshold=threshold, dry_run=dry_run, advance=meter.advance)


def clear(settings: Settings) -> int:
    """Removes all labels; returns the number of pictures that had some.

    Raises:
        StateError: The collection can't be written to.
    """
    collection = collection_of(settings)
    check_writable(collection.folder)
    with collection.store(writable=True) as store, Meter("pictures", store.counts()["image"]) as meter:
        return labelling.clear(store, meter.advance)
