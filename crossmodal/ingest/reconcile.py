"""The end of an indexing run: paths and tags follow the files, and what lost its files is removed."""

from __future__ import annotations

from dataclasses import dataclass, field

from crossmodal.core.errors import PictureError
from crossmodal.core.report import Report
from crossmodal.core.types import Document, ImageRecord, image_id
from crossmodal.images.sources import of_record
from crossmodal.ingest.derived import follow
from crossmodal.ingest.ledger import Ledger
from crossmodal.ingest.removals import RemovalPlan, excess_of, plan_removals
from crossmodal.store.presence import Disk
from crossmodal.store.source_files import SourceFiles
from crossmodal.store.sqlite import DocumentStore

MAX_LISTED = 20
"""How many documents a refusal names."""


@dataclass
class _Deviations:
    """Where the store differs from the data set."""

    moved: list[Document] = field(default_factory=list)  # pictures and captions with their current path and tags
    stale_captions: list[str] = field(default_factory=list)  # ids of captions that the data set no longer has
    embedded: dict[str, ImageRecord] = field(default_factory=dict)  # by image id: pictures in a container file


def reconcile(store: DocumentStore, ledger: Ledger, report: Report, *, prune: bool, confirmed: bool = False) -> None:
    """Updates what follows from the files' places, and removes documents whose files no longer have them.

    Args:
        store: The collection's store, open for writing.
        ledger: What the run has found.
        report: Receives counts, notes, and the refusal.
        prune: Whether documents that the data set no longer lists are removed, if their files are proven to be gone.
        confirmed: Whether `prune` may remove a large part of the collection.

    If that would be a large part and is not confirmed, `prune` removes nothing, everything else is done, and the
    report's `refusal` lists what would be removed.
    """
    found = _deviations(store, ledger)
    store.describe(found.moved)
    _keep_embedded(store, found.embedded, report)
    stale = found.stale_captions if prune else []
    indexed = store.known(file.image_id for file in ledger.files.values())
    files = {path: file for path, file in ledger.files.items() if file.image_id in indexed}
    plan = plan_removals(store, ledger, files, prune=prune, stale_captions=stale)
    report.notes += plan.kept
    excess = "" if confirmed else excess_of(plan, store)
    if excess:
        report.refusal = _refusal(excess, plan, store)
        plan = plan_removals(store, ledger, files, prune=False)
    for document in store.remove(plan.ids):
        report.count(document.modality, "removed")
        if document.id in plan.pictures:
            report.note(document.uri, f"removed from the index: {plan.pictures[document.id]}")
    source_files = SourceFiles(store)
    source_files.forget(plan.forgotten)
    source_files.put(ledger.source, files.values())


def _deviations(store: DocumentStore, ledger: Ledger) -> _Deviations:
    """Compares each picture of the run, and its captions, with the data set."""
    disk, found = Disk(), _Deviations()

    def is_ours(uri: str) -> bool:
        """Whether a caption came with a file that was read now, or that is proven to be gone."""
        return uri in ledger.listed or (uri in ledger.known_files and disk.look_at(uri).state == "gone")

    for key, picture in store.known(ledger.pictures).items():
        places, captions = ledger.places_of(key), store.captions_of(key)
        moved = list(follow(picture, captions, places, ledger.picture_in))
        found.moved += moved
        place = places.get(moved[0].uri if moved and moved[0].id == key else picture.uri)
        if place is not None and place.content is not None:
            found.embedded[key] = place
        texts = ledger.captions_of(key)
        found.stale_captions += [c.id for c in captions if c.text not in texts and is_ours(c.uri)]
    return found


def _keep_embedded(store: DocumentStore, embedded: dict[str, ImageRecord], report: Report) -> None:
    """Stores the bytes of pictures that had a file of their own before and now exist in a container file only."""
    for key in store.without_content(embedded):
        record = embedded[key]
        try:
            content = of_record(record)
        except PictureError as error:
            report.note(str(record.path), f"its bytes are not in the collection: {error}")
            continue
        if image_id(content) == key:
            store.add_content(key, content)
        else:
            report.note(str(record.path), "it changed during the run: index the data set again")


def _refusal(excess: str, plan: RemovalPlan, store: DocumentStore) -> str:
    ids = [own for own in plan.ids if own in plan.pruned]
    documents = store.known(ids[:MAX_LISTED])
    listed = [f"  {_name(documents[own])}: {(plan.pictures | plan.captions)[own]}" for own in ids[:MAX_LISTED]]
    more = [f"  ... and {len(ids) - MAX_LISTED} more"] if len(ids) > MAX_LISTED else []
    return "\n".join(
        [
            f"--prune would remove {excess}, more than a quarter of the collection; nothing was pruned:",
            *listed,
            *more,
            "check that all disks are mounted, then confirm with --yes",
        ]
    )


def _name(document: Document) -> str:
    return document.uri or document.id if document.modality == "image" else f"caption {document.text!r}"
