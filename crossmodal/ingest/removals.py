"""Which documents leave a collection because their files no longer have them: a plan, made before any removal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache

from crossmodal.core.types import Failure
from crossmodal.ingest.ledger import Ledger
from crossmodal.store.presence import Disk
from crossmodal.store.source_files import SourceFile, SourceFiles
from crossmodal.store.sqlite import DocumentStore

MAX_UNCONFIRMED = 0.25
"""The largest share of a collection's pictures, or of its captions, that is pruned without confirmation."""


@dataclass
class RemovalPlan:
    """Which documents to remove and which files to forget.

    Attributes:
        pictures: Why each is removed, by id.
        captions: The same for captions.
        pruned: The ids that only `--prune` removes.
        forgotten: Paths of files that no longer have the picture that was indexed from them.
        kept: Unlisted files that are not proven to be gone, so that their pictures stay, with the reason.
    """

    pictures: dict[str, str] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    pruned: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    kept: list[Failure] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """Everything to remove, pictures first."""
        return [*self.pictures, *self.captions]


def plan_removals(
    store: DocumentStore,
    ledger: Ledger,
    found: Mapping[str, SourceFile],
    *,
    prune: bool,
    stale_captions: Sequence[str] = (),
) -> RemovalPlan:
    """Decides which documents go; changes nothing.

    A picture goes if none of its files has it any more: another picture was read from the file, or, with `prune`, the
    file is proven to be gone.

    Args:
        store: The collection's store.
        ledger: What the run has found.
        found: The files that were read now and whose pictures are in the store, by path.
        prune: Whether pictures and captions go that the data set no longer lists.
        stale_captions: Ids of captions that the data set had, and no longer has.
    """
    known, seen, is_complete = ledger.known_files, ledger.listed, ledger.is_complete
    plan = RemovalPlan()
    replaced = {path for path in known.keys() & found.keys() if found[path].image_id != known[path].image_id}
    unlisted = sorted(known.keys() - found.keys() - seen) if prune else []
    here = {file.image_id for file in found.values()}
    gone, unproven = _looked_for(unlisted, seen, is_complete=is_complete)
    for reason, paths in unproven.items():
        missing = [path for path in paths if known[path].image_id not in here]
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            plan.kept.append(Failure(missing[0] + more, f"kept in the index: {reason}"))
    plan.forgotten = replaced | gone
    files = SourceFiles(store)
    for path in sorted(plan.forgotten):
        picture = known[path].image_id
        if picture in here or picture in plan.pictures or set(files.paths_of(picture)) - plan.forgotten:
            continue
        plan.pictures[picture] = "the file has another picture now" if path in replaced else "the file is gone"
        if path in gone:
            plan.pruned.add(picture)
    if prune:
        _plan_captions(plan, stale_captions, is_complete=is_complete)
    return plan


def _looked_for(
    paths: Iterable[str], seen: AbstractSet[str], *, is_complete: bool
) -> tuple[set[str], dict[str, list[str]]]:
    """The paths that are proven to be gone, and the others by the reason why that is not proven."""
    disk, gone = Disk(), set()
    read = cache(lambda container: is_complete and any(path.startswith(f"{container}/") for path in seen))
    unproven: dict[str, list[str]] = {}
    for path in paths:
        presence = disk.look_at(path)
        if presence.state == "there":
            reason = "the file is there, though the data set does not list it any more"
        elif presence.state == "unknown":
            reason = presence.reason
        elif presence.container and not read(presence.container):
            reason = f"{presence.container} was not read, or not completely"
        else:
            gone.add(path)
            continue
        unproven.setdefault(reason, []).append(path)
    return gone, unproven


def _plan_captions(plan: RemovalPlan, stale: Sequence[str], *, is_complete: bool) -> None:
    if stale and not is_complete:
        reason = f"{len(stale)} are no longer in the data set; kept, since some captions could not be read"
        plan.kept.append(Failure("captions", reason))
        return
    plan.captions.update(dict.fromkeys(stale, "the data set does not have it any more"))
    plan.pruned.update(stale)


def excess_of(plan: RemovalPlan, store: DocumentStore) -> str:
    """What would be pruned, as in "3 of 10 pictures", if that is more than the limit; else an empty string."""
    counts = store.counts()
    pictures = plan.pruned & plan.pictures.keys()
    captions = plan.pruned & plan.captions.keys()
    for what, n, total in (("pictures", len(pictures), counts["image"]), ("captions", len(captions), counts["text"])):
        if n > 1 and n > MAX_UNCONFIRMED * total:
            return f"{n} of {total} {what}"
    return ""
