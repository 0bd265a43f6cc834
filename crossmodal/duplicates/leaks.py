"""Pictures of one split of a data set that have a duplicate in another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from crossmodal.duplicates.groups import Group, Level, Member


@dataclass(frozen=True)
class Leak:
    """Pictures in both of two splits that are duplicates of each other."""

    level: Level
    ours: tuple[Member, ...]
    theirs: tuple[Member, ...]


def leaks(groups: Iterable[Group], ours: str, theirs: str) -> list[Leak]:
    """The groups that have members in both splits."""
    found = []
    for group in groups:
        sides = [tuple(member for member in group.members if split in splits_of(member, (ours, theirs)))
                 for split in (ours, theirs)]  # fmt: skip
        if all(sides):
            found.append(Leak(group.level, *sides))
    return found


def unclear(groups: Iterable[Group], ours: str, theirs: str) -> list[Group]:
    """The groups of level 1 of which only the tag, which can name one split only, says where they belong."""
    named = {ours, theirs}
    return [
        group
        for group in groups
        if group.level == 1
        and not any(_folders(member) & named for member in group.members)
        and str(group.members[0].document.tags.get("split")) in named
    ]


def splits_of(member: Member, named: Sequence[str]) -> set[str]:
    """The splits of a picture among some: those of the folders of its files, or else that of its tag `split`.

    A picture with the same bytes in two splits is one document, whose tag can name one of them only.
    """
    return _folders(member).intersection(named) or {str(member.document.tags.get("split"))}.intersection(named)


def _folders(member: Member) -> set[str]:
    return {part for file in member.files for part in PurePath(file.path).parts[:-1]}
