"""Groups of duplicates as they are shown: documents with their files, the one to keep first."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Literal

from crossmodal.core.types import Document
from crossmodal.duplicates.hashing import Orientation
from crossmodal.duplicates.proposal import Version, propose
from crossmodal.store.known_folders import FolderStates
from crossmodal.store.presence import Disk
from crossmodal.store.protocol import Store
from crossmodal.store.source_files import SourceFile

Level = Literal[1, 2, 3]
_OPPOSITE = {"turned clockwise": "turned anticlockwise", "turned anticlockwise": "turned clockwise"}
LEVELS: dict[Level, str] = {1: "the same bytes", 2: "the same picture, edited", 3: "the same scene"}
_CROPPED, _TILTED_DEGREES, _DETAILED = 0.97, 0.7, 0.9


@dataclass(frozen=True)
class Member:
    """A picture of a group; at level 1 one of its files."""

    document: Document
    files: tuple[SourceFile, ...]
    sharpness: float = 0.0
    differences: tuple[str, ...] = ()
    """How it differs from the one to keep."""

    @property
    def name(self) -> str:
        """The name of its file."""
        path = self.files[0].path if self.files else ""
        return PurePath(path).name or str(self.document.tags.get("filename") or self.document.id)

    @property
    def paths(self) -> list[str]:
        """The paths of its files, or where it came from."""
        return [file.path for file in self.files] or ([self.document.uri] if self.document.uri else [])

    @property
    def version(self) -> Version:
        """What decides whether it is kept."""
        modified_s = min((file.mtime_ns / 1e9 for file in self.files), default=math.inf)
        return Version(self.document.width * self.document.height, self.sharpness, self.name, modified_s)


@dataclass(frozen=True)
class Group:
    """Duplicates of one level; the first member is the one to keep, for a reason."""

    level: Level
    members: tuple[Member, ...]
    reason: str


def group_of(level: Level, members: Sequence[Member]) -> Group:
    """A group with the proposed member first, the others in the order of their properties."""
    kept, reason = propose([member.version for member in members])
    others = sorted(
        (member for place, member in enumerate(members) if place != kept),
        key=lambda member: (-member.version.pixels, member.name, member.paths),
    )
    return Group(level, (members[kept], *others), reason)


def identical(files_by_id: Mapping[str, Sequence[SourceFile]], store: Store) -> list[Group]:
    """The groups of level 1: pictures of which several files are known."""
    several = {picture: files for picture, files in files_by_id.items() if len(files) > 1}
    documents = store.known(several)
    groups = [
        group_of(1, [Member(documents[picture], (file,)) for file in files])
        for picture, files in several.items()
        if picture in documents
    ]
    return in_order(groups)


def in_order(groups: Sequence[Group]) -> list[Group]:
    """The groups with most members first, then by the name of the one to keep."""
    return sorted(groups, key=lambda group: (-len(group.members), group.members[0].name, group.members[0].document.id))


def files_by_id(store: Store, folders: FolderStates | None) -> dict[str, list[SourceFile]]:
    """The files of each picture that has some, by path; without those that are certainly gone if another is there.

    A service may run where it sees none of the files; a file that was moved, or its folder renamed, is still recorded
    under its earlier path until `--prune`. `folders` are those that pictures were indexed from on this machine.
    """
    found: defaultdict[str, list[SourceFile]] = defaultdict(list)
    for files in store.files.by_source().values():
        for file in files:
            found[file.image_id].append(file)
    disk = Disk(folders)

    def existing(files: list[SourceFile]) -> list[SourceFile]:
        lost = {file.path for file in files if disk.is_lost(file.path)} if len(files) > 1 else set[str]()
        is_one_there = lost and any(disk.look_at(file.path).state == "there" for file in files)
        return [file for file in files if file.path not in lost] if is_one_there else files

    return {picture: sorted(existing(files), key=lambda file: file.path) for picture, files in found.items()}


@dataclass(frozen=True)
class VersionComparison:
    """How a version of a picture shows the one to keep."""

    orientation: Orientation
    """The orientation in which it resembles the one to keep."""
    score: float
    of_kept: float
    """The part of the one to keep that it shows."""
    of_other: float
    """The part of it that the one to keep shows."""
    degrees: float
    is_same: bool


def differences(kept: Document, other: Document, found: VersionComparison) -> tuple[str, ...]:
    """How a version differs from the one to keep, in words."""
    ratio = other.width * other.height / max(1, kept.width * kept.height)
    are_true = {
        f"{100 * ratio:.2g} % of the pixels": ratio < _CROPPED,
        other.mime_type: other.mime_type != kept.mime_type,
        # It is turned to be compared, so the opposite had been done to it.
        _OPPOSITE.get(found.orientation.name, found.orientation.name): True,
        f"shows {100 * found.of_kept:.0f} %": found.is_same and found.of_kept < _CROPPED,
        f"shows more: the other is {100 * found.of_other:.0f} % of it": found.is_same and found.of_other < _CROPPED,
        f"tilted by {found.degrees:.0f}°": found.is_same and found.degrees > _TILTED_DEGREES,
        "other details": found.is_same and found.score < _DETAILED,
    }
    return tuple(text for text, is_true in are_true.items() if text and is_true)


def as_json(group: Group) -> dict[str, Any]:
    """The group for scripts."""
    return {
        "level": group.level,
        "reason": group.reason,
        "members": [_member_json(member, place == 0) for place, member in enumerate(group.members)],
    }


def _member_json(member: Member, is_kept: bool) -> dict[str, Any]:
    document, file = member.document, member.files[0] if member.files else None
    modified_s = member.version.modified_s
    return {
        "id": document.id,
        "keep": is_kept,
        "paths": member.paths,
        "filename": member.name,
        "width": document.width,
        "height": document.height,
        "bytes": file.size if file else None,
        "modified": None
        if math.isinf(modified_s)
        else datetime.fromtimestamp(int(modified_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "taken": taken_of(document) or None,
        "mime_type": document.mime_type,
        "split": document.tags.get("split"),
        "differences": list(member.differences),
    }


def taken_of(document: Document) -> str:
    """When the picture was taken as in its tag, empty if it is not known."""
    taken = document.tags.get("taken")
    return taken if isinstance(taken, str) else ""
