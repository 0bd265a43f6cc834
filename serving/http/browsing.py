"""Routes for browsing without a query: the map, and random captions."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from crossmodal.collection.collection import Collection
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.collection.picture_map import PictureMap, read_map
from crossmodal.collection.shared_state import MAP
from crossmodal.core.errors import StateError
from crossmodal.core.rare_log import warn_rarely
from crossmodal.core.types import Document
from serving.http.errors import RefusedError
from serving.http.schemas import ProblemAnswer
from serving.http.search import Opened

log = logging.getLogger(__name__)

MOST_CAPTIONS = 20
MOST_VALUES = 50
"""A tag with more values than this does not group the pictures."""
_PROBLEM = {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{ProblemAnswer.__name__}"}}}


class MapGroups(BaseModel):
    """The values of a tag of the pictures of a map."""

    values: list[str] = Field(description="the values, the most frequent first")
    of: list[int] = Field(description="for each picture the index of its value in `values`, or -1")


class MapAnswer(BaseModel):
    """Positions of the pictures, similar ones close together; each list has one entry per picture."""

    collection: str
    method: Literal["umap", "pca"]
    outdated: bool = Field(
        description="whether pictures were added or removed since; the command `map` makes a new map"
    )
    n: int
    ids: list[str] = Field(description="ids of the pictures: /thumbnails/ID and /images/ID show them")
    x: list[float] = Field(description="-1 to 1")
    y: list[float] = Field(description="-1 to 1, upwards")
    filenames: list[str]
    groups: dict[str, MapGroups] = Field(description="groups by tag, for tags with few values")


class KnownCaption(BaseModel):
    """A caption and the id of its picture."""

    id: str
    text: str
    image_id: str


class CaptionsAnswer(BaseModel):
    """Random captions with the ids of their pictures."""

    captions: list[KnownCaption]


def add_browsing(router: APIRouter, opened: GenerationCache[Any]) -> None:
    """Adds GET /map and GET /captions/random."""
    cached: dict[str, Any] = {}  # the latest body of GET /map, and the version that it was made from

    @router.get(
        "/map",
        summary="A map of the pictures, similar ones close together",
        response_model=MapAnswer,
        responses={404: {"description": "There is no map; `detail` says how to make one", "content": _PROBLEM}},
    )
    def picture_map() -> Response:
        """All pictures in one answer, as lists. Pictures indexed after the map was made are missing."""
        generation, now = opened.current()
        folder = now.collection.folder
        try:
            stat = (folder / MAP).stat()
        except FileNotFoundError as error:
            how = "make one with the command `map`"
            raise RefusedError(404, f"there is no map of {now.collection.root.name}: {how}") from error
        version = (generation, stat.st_ino, stat.st_mtime_ns, now.store.data_version())
        if cached.get("version") != version:
            answer = map_answer(_known_map(now.collection), now)
            cached.update(version=version, body=answer.model_dump_json())
        return Response(cached["body"], media_type="application/json", headers={"Cache-Control": "no-cache"})

    @router.get("/captions/random", summary="Random captions")
    def random_captions(n: Annotated[int, Query(ge=1, le=MOST_CAPTIONS)] = 4) -> CaptionsAnswer:
        """Captions of `n` different pictures, or of fewer if there are not enough."""
        drawn = opened.current()[1].store.random_captions(n)
        return CaptionsAnswer(captions=[KnownCaption(id=c.id, text=c.text, image_id=c.image_id) for c in drawn])


def _known_map(collection: Collection) -> PictureMap:
    try:
        return read_map(collection.folder)
    except StateError as error:
        warn_rarely(log, str(error))
        raise RefusedError(
            404, f"the map of {collection.root.name} is damaged: make it again with the command `map`"
        ) from error


def map_answer(known: PictureMap, now: Opened) -> MapAnswer:
    """A map with the stored fields of its pictures, without pictures that have been removed."""
    documents = now.store.by_keys(known.keys.tolist())
    rows = [row for row, key in enumerate(known.keys.tolist()) if key in documents]
    pictures = [documents[int(known.keys[row])] for row in rows]
    points = known.points[rows].astype(float).round(4)
    return MapAnswer(
        collection=now.collection.root.name,
        method=known.method,
        outdated=not known.is_current(now.store),
        n=len(pictures),
        ids=[picture.id for picture in pictures],
        x=points[:, 0].tolist(),
        y=points[:, 1].tolist(),
        filenames=[str(picture.tags.get("filename") or "") for picture in pictures],
        groups=groups_of(pictures),
    )


def groups_of(pictures: list[Document]) -> dict[str, MapGroups]:
    """The groups by tag, for the tags with at least two values and at most `MOST_VALUES`.

    >>> pictures = [Document(n, "image", tags={"class": c, "n": n}) for n, c in zip("abc", ["x", "y", "y"])]
    >>> groups_of(pictures)["class"]
    MapGroups(values=['y', 'x'], of=[1, 0, 0])
    """
    names = dict.fromkeys(name for picture in pictures for name in picture.tags if name != "filename")
    groups = {}
    for name in names:
        values = [picture.tags.get(name) for picture in pictures]
        labels = [str(value) if isinstance(value, str | int | float) else "" for value in values]
        counts = Counter(label for label in labels if label)
        if 2 <= len(counts) <= min(MOST_VALUES, len(pictures) - 1):
            ordered = [label for label, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
            index = {label: i for i, label in enumerate(ordered)}
            groups[name] = MapGroups(values=ordered, of=[index.get(label, -1) for label in labels])
    return groups
