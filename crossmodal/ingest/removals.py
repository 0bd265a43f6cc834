"""Plans the removal of documents that are no longer in their files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache

from crossmodal.core.types import Failure
from crossmodal.ingest.ledger import Ledger
from crossmodal.store.presence import Disk
from crossmodal.store.protocol import Store
from crossmodal.store.source_files import SourceFile

MAX_UNCONFIRMED = 0.25
"""The largest share of a collection's pictures, or of its captions, that is pruned without confirmation."""

KEPT = "kept in the index"
"""Begins the notes on unlisted files that may still exist."""


@dataclass
class RemovalPlan:
    """The documents to remove, and the records of files to delete.

    Attributes:
        pictures: The reason of each removal, by id.
        captions: The same for captions.
        pruned: The ids that are removed only because of `--prune`.
        forgotten: The paths of files that no longer contain the picture that was indexed from them.
        kept: Unlisted files that may still exist, so that their pictures are kept, with the reason.
    """

    pictures: dict[str, str] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    pruned: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    kept: list[Failure] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The ids to remove, pictures first."""
        return [*self.pictures, *self.captions]


def plan_removals(
    store: Store,
    ledger: Ledger,
    files: Mapping[str, SourceFile],
    *,
    prune: bool,
    stale_captions: Sequence[str] = (),
) -> RemovalPlan:
    """The plan of removals; changes nothing.

    A picture is removed if none of its files contains it any more: another picture was read from the file, or, with
    `prune`, the file is certainly gone or left out by a rule of the user. A file in another data set, such as the
    same folder under an earlier name, keeps the picture unless, with `prune`, it was indexed on this machine and is
    certainly gone, too.

    Args:
        store: The collection's store.
        ledger: The state of the run.
        files: The files that were read in this run and whose pictures are in the store, by path.
        prune: Whether to remove pictures and captions that the data set no longer lists.
        stale_captions: Ids of captions that are no longer in the data set.
    """
    known, listed, is_complete = ledger.known_files, ledger.listed, ledger.is_complete
    plan = RemovalPlan()
    replaced = {path for path in known.keys() & files.keys() if files[path].image_id != known[path].image_id}
    unlisted = sorted(known.keys() - files.keys() - listed) if prune else []
    present = {file.image_id for file in files.values()}
    excluded = {path: why for path in unlisted if (why := ledger.why_excluded(path))}
    rest = (path for path in unlisted if path not in excluded)
    gone, unproven = _checked(rest, listed, Disk(ledger.known_folders), is_complete=is_complete)
    for reason, paths in unproven.items():
        missing = [path for path in paths if known[path].image_id not in present]
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            plan.kept.append(Failure(missing[0] + more, f"{KEPT}: {reason}"))
    plan.forgotten = replaced | gone | excluded.keys()
    reasons = dict.fromkeys(replaced, "the file now contains another picture") | {
        path: f"it is one of the {why}" for path, why in excluded.items()
    }
    everywhere = Disk(ledger.all_folders)

    for path in sorted(plan.forgotten):
        picture = known[path].image_id
        if picture in present or picture in plan.pictures:
            continue
        others = set(store.files.paths_of(picture)) - plan.forgotten
        if any(not prune or other in known or not everywhere.is_lost(other) for other in others):
            continue
        plan.pictures[picture] = reasons.get(path, "the file is gone")
        if path not in replaced or others:
            plan.pruned.add(picture)
    if prune:
        _plan_captions(plan, stale_captions, is_complete=is_complete)
    return plan


def _checked(
    paths: Iterable[str], listed: AbstractSet[str], disk: Disk, *, is_complete: bool
) -> tuple[set[str], dict[str, list[str]]]:
    """The paths that are certainly gone, and the other paths by the reason why this is uncertain."""
    gone: set[str] = set()
    is_read = cache(lambda container: is_complete and any(path.startswith(f"{container}/") for path in listed))
    unproven: dict[str, list[str]] = {}
    for path in paths:
        presence = disk.look_at(path)
        if presence.state == "there":
            reason = "the file exists, although the data set no longer lists it"
        elif presence.state == "unknown":
            reason = presence.reason
        elif presence.container and not is_read(presence.container):
            reason = f"{presence.container} was not read, or not completely"
        else:
            gone.add(path)
            continue
        unproven.setdefault(reason, []).append(path)
    return gone, unproven


def _plan_captions(plan: RemovalPlan, stale: Sequence[str], *, is_complete: bool) -> None:
    if stale and not is_complete:
        reason = f"{len(stale)} are no longer in the data set; kept because some captions could not be read"
        plan.kept.append(Failure("captions", reason))
        return
    plan.captions.update(dict.fromkeys(stale, "it is no longer in the data set"))
    plan.pruned.update(stale)


def excess_of(plan: RemovalPlan, store: Store) -> str:
    """The size of a removal above the limit, such as "3 of 10 pictures"; an empty string below it."""
    counts = store.counts()
    pictures = plan.pruned & plan.pictures.keys()
    captions = plan.pruned & plan.captions.keys()
    for noun, n, total in (("pictures", len(pictures), counts["image"]), ("captions", len(captions), counts["text"])):
        if n > 1 and n > MAX_UNCONFIRMED * total:
            return f"{n} of {total} {noun}"
    return ""
