"""duplicates: lists groups of duplicates; nothing is removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cli.location import collection_of
from crossmodal.collection.collection import Collection
from crossmodal.collection.shared_state import HASHES
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.settings import Settings
from crossmodal.duplicates.finding import DuplicateGroups, find
from crossmodal.duplicates.fingerprints import read_fingerprints
from crossmodal.duplicates.groups import LEVELS, Group, Level, Member, as_json
from crossmodal.duplicates.leaks import Leak, leaks, unclear
from crossmodal.store.known_folders import all_folders


@dataclass(frozen=True)
class Duplicates:
    """The result of the command: a JSON value, lines for people, and whether the exit status is 0."""

    result: dict[str, Any]
    lines: list[str]
    is_fine: bool = True


def duplicates(
    settings: Settings,
    levels: Sequence[Level],
    where: str,
    leak: str,
    progress: Callable[[float], None],
    warn: Callable[[str], None],
) -> Duplicates:
    """The duplicates of a collection, or with `leak`, as in `train:test`, those in both of two splits."""
    splits = _splits(leak)
    collection = collection_of(settings)
    with collection.store() as store:
        known = read_fingerprints(collection.folder)
        up_to: Level = 2 if leak else max(levels)
        found = find(
            store,
            lambda: collection.index(store, "image"),
            known,
            folders=all_folders(collection.folder),
            where=where,
            up_to=up_to,
            progress=progress,
        )
    if found.prints is not known:
        try:
            collection.write(HASHES, found.prints.to_bytes())
        except StateError as error:
            warn(f"the hashes are not kept, so the next run computes them again: {error}")
    return _leaks(found, *splits) if splits else _listed(collection, found, levels)


def _splits(leak: str) -> tuple[str, str] | None:
    ours, _, theirs = leak.partition(":")
    if not leak:
        return None
    if not ours or not theirs or ours == theirs:
        raise InputError(f"--leak {leak}: give two splits, as in train:test")
    return ours, theirs


def _listed(collection: Collection, found: DuplicateGroups, levels: Sequence[Level]) -> Duplicates:
    groups = [group for level in levels for group in found.groups.get(level, ())]
    counts = {
        level: {"groups": len(found.groups[level]), "extra": sum(len(g.members) - 1 for g in found.groups[level])}
        for level in levels
        if level in found.groups
    }
    lines = [f"{found.n_pictures} pictures"]
    for level, count in counts.items():
        lines.append(f"level {level}, {LEVELS[level]}: {count['groups']} groups, {count['extra']} more than needed")
        lines += [line for group in found.groups[level] for line in _lines(group)]
    if found.n_plain:
        lines.append(f"not compared: {found.n_plain} pictures that are nearly of one colour")
    result = {
        "collection": collection.root.name,
        "pictures": found.n_pictures,
        "not_compared": found.n_plain,
        "levels": {str(level): count for level, count in counts.items()},
        "groups": [as_json(group) for group in groups],
    }
    return Duplicates(result, lines)


def _lines(group: Group) -> list[str]:
    kept, *others = group.members
    lines = [f"  keep  {_described(kept)}  ({group.reason})"]
    return lines + [f"        {_described(member)}{'  ' + ', '.join(member.differences) if member.differences else ''}"
                    for member in others]  # fmt: skip


def _described(member: Member) -> str:
    size = f"{member.document.width} x {member.document.height}"
    return f"{' = '.join(member.paths) or member.name}  {size}"


def _leaks(found: DuplicateGroups, ours: str, theirs: str) -> Duplicates:
    all_leaks = leaks([*found.groups[1], *found.groups.get(2, ())], ours, theirs)
    pictures = {member.document.id for leak in all_leaks for member in leak.ours}
    head = f"{len(pictures)} pictures of {ours} have a duplicate in {theirs}" if all_leaks else (
        f"no picture of {ours} has a duplicate in {theirs}, among {found.n_pictures} pictures")  # fmt: skip
    lines = [head, *(line for leak in all_leaks for line in _leak_lines(leak, ours, theirs))]
    open_cases = unclear(found.groups[1], ours, theirs)
    if open_cases:
        lines.append(f"not known: the splits of the files of {len(open_cases)} pictures that have several; see level 1")
    result = {
        "splits": [ours, theirs],
        "pictures": len(pictures),
        "not_known": len(open_cases),
        "leaks": [{"level": leak.level, ours: _ids(leak.ours), theirs: _ids(leak.theirs)} for leak in all_leaks],
    }
    return Duplicates(result, lines, is_fine=not all_leaks)


def _ids(members: Sequence[Member]) -> list[dict[str, Any]]:
    return [{"id": member.document.id, "paths": member.paths} for member in members]


def _leak_lines(leak: Leak, ours: str, theirs: str) -> list[str]:
    sides = ((ours, leak.ours), (theirs, leak.theirs))
    return [f"  level {leak.level}, {LEVELS[leak.level]}:"] + [
        f"    {split}: {_described(member)}" for split, members in sides for member in members
    ]
