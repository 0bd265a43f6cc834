"""The end of an indexing run: updates paths and tags, and removes documents whose files are gone or replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from crossmodal.core.batched import batched
from crossmodal.core.errors import PictureError
from crossmodal.core.report import Report
from crossmodal.core.terminal import printable
from crossmodal.core.types import Document, ImageRecord, Modality, image_id
from crossmodal.images.sources import of_record
from crossmodal.ingest.derived import follow
from crossmodal.ingest.ledger import Ledger
from crossmodal.ingest.removals import RemovalPlan, excess_of, plan_removals
from crossmodal.store.presence import Disk
from crossmodal.store.protocol import Store

MAX_LISTED = 20
"""Maximum number of documents that a refusal lists."""
PICTURES_AT_ONCE = 500
"""Pictures that are compared with the store in one query."""


@dataclass
class _Deviations:
    """The differences between the store and the data set, and which of its pictures are in the store."""

    indexed: set[str] = field(default_factory=set)  # ids of pictures
    moved: list[Document] = field(default_factory=list)  # pictures and captions with their current path and tags
    stale_captions: list[str] = field(default_factory=list)  # ids of captions that are no longer in the data set
    embedded: dict[str, ImageRecord] = field(default_factory=dict)  # by image id: pictures in a container file


def reconcile(
    store: Store, ledger: Ledger, report: Report, *, prune: bool, confirmed: bool = False, is_whole: bool = True
) -> None:
    """Updates the fields that depend on paths, and removes documents that are no longer in their files.

    Args:
        store: The collection's store, open for writing.
        ledger: The state of the run.
        report: Receives counts, notes, and the refusal.
        prune: Whether to also remove documents that the data set no longer lists, if their files are certainly gone.
        confirmed: Whether `prune` may remove a large part of the collection.
        is_whole: Whether the run has read the whole data set; then, without `prune`, the report has the number of
            documents that it would remove.

    Without differences, nothing is written: each commit makes running services read again.

    If that would be a large part and is not confirmed, `prune` removes nothing, everything else is done, and the
    report's `refusal` lists what would be removed.
    """
    deviations = _deviations(store, ledger)
    _describe_moved(store, ledger, deviations, report)
    _store_embedded(store, deviations.embedded, report)
    stale = deviations.stale_captions if prune else []
    files = {path: file for path, file in ledger.files.items() if file.image_id in deviations.indexed}
    plan = plan_removals(store, ledger, files, prune=prune, stale_captions=stale)
    report.notes += plan.kept
    excess = "" if confirmed else excess_of(plan, store)
    if excess:
        report.refusal = _refusal(excess, plan, store)
        plan = plan_removals(store, ledger, files, prune=False)
    elif not prune and is_whole:
        unpruned = plan_removals(store, ledger, files, prune=True, stale_captions=deviations.stale_captions)
        report.gone = _gone(unpruned, store)
    for document in store.remove(plan.ids) if plan.ids else ():
        report.count(document.modality, "removed")
        if document.id in plan.pictures:
            report.note(document.uri, f"removed from the index: {plan.pictures[document.id]}")
    if plan.forgotten:
        store.files.forget(plan.forgotten)
    if changed := [file for path, file in files.items() if ledger.known_files.get(path) != file]:
        store.files.put(ledger.source, changed)


def _describe_moved(store: Store, ledger: Ledger, deviations: _Deviations, report: Report) -> None:
    """Updates what was indexed before, and notes the pictures that are no longer in the store."""
    if deviations.moved:
        store.describe(deviations.moved)
    new = set(ledger.new)
    for document in deviations.moved:
        if (document.image_id or document.id) not in new:
            report.count(document.modality, "updated")
    for picture, records in ledger.pictures.items():
        if picture not in deviations.indexed:
            why = "another process removed it from the collection during this run: index again to add it"
            report.note(str(records[0].path), why)


def _deviations(store: Store, ledger: Ledger) -> _Deviations:
    """Compares each picture of the run, and its captions, with the data set."""
    disk, deviations = Disk(ledger.known_folders), _Deviations()

    def is_gone(uri: str) -> bool:
        return disk.look_at(uri).state == "gone"

    def is_of_data_set(uri: str) -> bool:
        """Whether a caption's file was read in this run, or was indexed from the data set and is certainly gone."""
        if (picture := ledger.picture_in(uri)) is not None:
            return picture in ledger.pictures  # not if it could not be decoded
        return uri in ledger.known_files and is_gone(uri)

    def compare(picture: Document, captions: Sequence[Document]) -> None:
        places = ledger.places_of(picture.id)
        moved = list(follow(picture, captions, places, ledger.picture_in, is_gone))
        deviations.moved += moved
        record = places.get(moved[0].uri if moved and moved[0].id == picture.id else picture.uri)
        if record is not None and record.content is not None:
            deviations.embedded[picture.id] = record
        texts = ledger.captions_of(picture.id)
        deviations.stale_captions += [c.id for c in captions if c.text not in texts and is_of_data_set(c.uri)]

    for keys in batched(ledger.pictures, PICTURES_AT_ONCE):
        known, captions = store.known(keys), store.captions_of(keys)
        deviations.indexed |= known.keys()
        for key, picture in known.items():
            compare(picture, captions.get(key, []))
    return deviations


def _store_embedded(store: Store, embedded: dict[str, ImageRecord], report: Report) -> None:
    """Stores the bytes of pictures that had a file when they were indexed and now exist only in a container file."""
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
            report.note(str(record.path), "the picture changed during the run: index the data set again")


def _gone(plan: RemovalPlan, store: Store) -> dict[Modality, int]:
    """The number of documents that only `prune` removes, captions of pictures included."""
    pictures = [picture for picture in plan.pictures if picture in plan.pruned]
    captions = plan.pruned.intersection(plan.captions)
    for keys in batched(pictures, PICTURES_AT_ONCE):
        captions.update(caption.id for of_picture in store.captions_of(keys).values() for caption in of_picture)
    counts: dict[Modality, int] = {"image": len(pictures), "text": len(captions)}
    return {modality: n for modality, n in counts.items() if n}


def _refusal(excess: str, plan: RemovalPlan, store: Store) -> str:
    ids = [document_id for document_id in plan.ids if document_id in plan.pruned]
    documents, reasons = store.known(ids[:MAX_LISTED]), plan.pictures | plan.captions
    listed = [f"  {printable(_name(documents[pruned]))}: {reasons[pruned]}" for pruned in ids[:MAX_LISTED]]
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
