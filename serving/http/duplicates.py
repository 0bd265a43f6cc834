"""The route for duplicates: groups of pictures that are there more than once, and which one to keep."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.duplicates.groups import Group, Level, Member, as_json
from serving.http.errors import PROBLEM, PROBLEMS, RefusedError

MAX_GROUPS = 200
WAIT_S = 2.0
"""How long a request waits for the computation before it answers with its progress."""

OF_SLICES = (
    "duplicates are found among the vectors of all slices: use the command `duplicates` on a machine that has "
    "memory for them, or with --level 1, which needs none"
)
SAID = "1: the same bytes; 2: the same picture resized, recompressed or slightly edited; 3: the same scene"


class DuplicatePicture(BaseModel):
    """A picture of a group; at level 1 one of its files. /thumbnails/ID and /images/ID show it."""

    id: str
    keep: bool = Field(description="whether it is the one that is proposed to be kept")
    path: str = Field(description="its file, relative to the indexed folder, or at level 1 to the folder of all files")
    copies: int = Field(description="number of its files, which have the same bytes; 1 at level 1")
    width: int
    height: int
    bytes: int | None = Field(description="size of its file, if that is known")
    modified: str | None = Field(description="when its file was changed: YYYY-MM-DDTHH:MM:SSZ")
    taken: str | None = Field(description="when it was taken: YYYY-MM-DDTHH:MM:SS, local time")
    differences: list[str] = Field(description="level 2: how it differs from the one to keep")


class DuplicateGroup(BaseModel):
    """Pictures of which one is enough, that one first."""

    reason: str = Field(description="why the first picture is proposed")
    pictures: list[DuplicatePicture]


class DuplicatesAnswer(BaseModel):
    """Some of `n` groups, those from `offset` on; status 202 and no groups while they are computed."""

    state: Literal["ready", "computing"]
    progress: float = Field(description="the part of the computation that is done, 0 to 1")
    outdated: bool = Field(description="whether the collection has changed since; ask again")
    level: int
    n: int
    extra: int = Field(description="number of pictures, or files, beside those to keep, in all groups")
    offset: int
    groups: list[DuplicateGroup]


def add_duplicates(router: APIRouter, opened: GenerationCache[Any], *, has_slice: bool = False) -> None:
    """Adds GET /duplicates; a node with a slice of the vectors refuses it."""
    computing = {"model": DuplicatesAnswer, "description": "They are being computed: ask again"}
    of_slices = {"description": "The node has a slice of the vectors", "content": PROBLEM}

    @router.get(
        "/duplicates",
        summary="Pictures that are there more than once",
        responses={202: computing, **PROBLEMS, 501: of_slices},
    )
    def duplicates(
        response: Response,
        level: Annotated[int, Query(ge=1, le=3, description=SAID)] = 2,
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_GROUPS)] = 50,
    ) -> DuplicatesAnswer:
        """The largest groups first. Nothing is removed.

        They are computed when they are first asked for, and again after the collection has changed.
        """
        if has_slice:
            raise RefusedError(501, OF_SLICES)
        latest = opened.current()[1].duplicates
        found, is_current = latest.current()
        if found is None:
            latest.wait(WAIT_S)
            found, is_current = latest.current()
        response.headers["Cache-Control"] = "no-cache"
        if found is None:
            response.status_code, response.headers["Retry-After"] = 202, "1"
            return DuplicatesAnswer(state="computing", progress=latest.progress, outdated=False, level=level, n=0,
                                    extra=0, offset=offset, groups=[])  # fmt: skip
        groups = found.groups.get(cast(Level, level), ())
        return DuplicatesAnswer(
            state="ready",
            progress=1.0,
            outdated=not is_current,
            level=level,
            n=len(groups),
            extra=sum(len(group.members) - 1 for group in groups),
            offset=offset,
            groups=[_answered(group) for group in groups[offset : offset + limit]],
        )


def _answered(group: Group) -> DuplicateGroup:
    members = as_json(group)["members"]
    paths = _paths(group.level, group.members)
    names = ("id", "keep", "width", "height", "bytes", "modified", "taken", "differences")
    pictures = [
        DuplicatePicture(path=path, copies=max(1, len(member.files)), **{name: picture[name] for name in names})
        for member, picture, path in zip(group.members, members, paths, strict=True)
    ]
    return DuplicateGroup(reason=group.reason, pictures=pictures)


def _paths(level: Level, members: tuple[Member, ...]) -> list[str]:
    """Paths that do not show where on the machine the pictures are."""
    if level > 1:
        return ["/".join(filter(None, [str(m.document.tags.get("folder") or ""), m.name])) for m in members]
    files = [PurePath(member.files[0].path) for member in members]
    common = os.path.commonpath([file.parent for file in files])
    return [str(file.relative_to(common)) for file in files]
