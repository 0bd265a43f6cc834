"""What goes out of a collection because its data set has it no more: a plan, made before anything is removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache

from crossmodal.core.types import Failure
from crossmodal.store.presence import Disk
from crossmodal.store.source_files import SourceFile, SourceFiles
from crossmodal.store.sqlite import DocumentStore

MOST_UNCONFIRMED = 0.25
"""The largest share of a collection's pictures, or of its captions, that is pruned without confirmation."""


@dataclass
class RemovalPlan:
    """Ids of the documents to remove, each with the proof; the files to forget; and what stays for want of a proof."""

    pictures: dict[str, str] = field(default_factory=dict)  # id: why
    captions: dict[str, str] = field(default_factory=dict)  # id: why
    pruned: set[str] = field(default_factory=set)  # those of the ids that only --prune removes
    forgotten: set[str] = field(default_factory=set)  # paths
    kept: list[Failure] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """Everything to remove, pictures first."""
        return [*self.pictures, *self.captions]


def plan_removals(
    store: DocumentStore,
    known: Mapping[str, SourceFile],
    found: Mapping[str, SourceFile],
    *,
    seen: AbstractSet[str],
    prune: bool,
    is_whole: bool,
    stale_captions: Iterable[str] = (),
) -> RemovalPlan:
    """Decides what goes, and changes nothing.

    A picture goes when none of its files has it any more: another picture was read from the file, or, with `prune`, a
    look at the file's place showed that it is gone.

    Args:
        store: The collection's store.
        known: The files of the data set as they were when they were taken in, by path.
        found: Those that were read now and whose pictures are in the store, by path.
        seen: The paths of all pictures that the data set lists now, whether they could be read or not.
        prune: Whether what the data set lists no more goes.
        is_whole: Whether all captions and containers of the data set could be read.
        stale_captions: Ids of captions that the data set had and tells no more.

    Returns:
        The plan. With `prune`, what is not listed and is not proven to be gone either is in `kept`, with the reason.
    """
    plan = RemovalPlan()
    replaced = {path for path in known.keys() & found.keys() if found[path].image_id != known[path].image_id}
    unlisted = sorted(known.keys() - found.keys() - set(seen)) if prune else []
    here = {file.image_id for file in found.values()}
    gone, unproven = _looked_for(unlisted, seen, is_whole=is_whole)
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
        _plan_captions(plan, list(stale_captions), is_whole=is_whole)
    return plan


def _looked_for(
    paths: Iterable[str], seen: AbstractSet[str], *, is_whole: bool
) -> tuple[set[str], dict[str, list[str]]]:
    """Those of the paths whose place was looked at and is empty; and the others, by the reason."""
    disk, gone = Disk(), set()
    read = cache(lambda container: is_whole and any(path.startswith(f"{container}/") for path in seen))
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


def _plan_captions(plan: RemovalPlan, stale: list[str], *, is_whole: bool) -> None:
    if stale and not is_whole:
        told = f"{len(stale)} captions are not told any more; kept, since some captions could not be read"
        plan.kept.append(Failure("captions", told))
        return
    plan.captions.update(dict.fromkeys(stale, "the data set does not have it any more"))
    plan.pruned.update(stale)


def too_much(plan: RemovalPlan, store: DocumentStore) -> str:
    """What share of the collection would be pruned, in words, where it is above the limit; else nothing."""
    counts = store.counts()
    pictures = plan.pruned & plan.pictures.keys()
    captions = plan.pruned & plan.captions.keys()
    for what, n, total in (("pictures", len(pictures), counts["image"]), ("captions", len(captions), counts["text"])):
        if n > 1 and n > MOST_UNCONFIRMED * total:
            return f"{n} of {total} {what}"
    return ""
