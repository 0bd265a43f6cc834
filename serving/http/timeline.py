"""Routes for browsing all pictures by time or by folder, and their counts by year, place, camera, folder and label."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import CrossModalError
from crossmodal.core.types import Document
from crossmodal.search.filters import Filters
from crossmodal.search.overview import Order
from serving.filter_fields import After, Before, Camera, Folder, Near, Where, WithinKm
from serving.http.conditions import client_condition
from serving.http.errors import PROBLEMS

log = logging.getLogger(__name__)

MAX_PAGE = 1_000


class BrowseSection(BaseModel):
    """Consecutive pictures: those of a month, or of a folder."""

    key: str = Field(description="`2023-07`, or the folder; empty for pictures without a date, and for the top folder")
    title: str
    n: int


class SectionsAnswer(BaseModel):
    """All sections, in the order of the pictures; `n` is the number of pictures."""

    n: int
    order: Order
    sections: list[BrowseSection]


class BrowsedPicture(BaseModel):
    """A picture: /thumbnails/ID and /images/ID show it."""

    id: str
    width: int
    height: int
    taken: str | None = Field(description="YYYY-MM-DDTHH:MM:SS, local time, with +HH:MM if that is known")
    folder: str = Field(description="the folder of its file in the indexed one, empty for that folder itself")
    filename: str


class PicturesAnswer(BaseModel):
    """Some of `n` pictures: those from `offset` on."""

    n: int
    offset: int
    pictures: list[BrowsedPicture]


class FacetValue(BaseModel):
    """A value and its number of pictures."""

    value: str
    n: int


class FacetsAnswer(BaseModel):
    """By `year`, `country`, `place`, `camera`, `folder` and `label`, up to 100 values, the most frequent first."""

    facets: dict[str, list[FacetValue]]


def filters_of(
    where: Where = None,
    after: After = None,
    before: Before = None,
    near: Near = None,
    within_km: WithinKm = None,
    camera: Camera = None,
    folder: Folder = None,
) -> Filters:
    """The filters of a request; an empty one is none, except for `folder`."""
    filters = Filters(where or None, after or None, before or None, near or None, within_km, camera or None, folder)
    if condition := filters.condition():
        client_condition(condition)
    return filters


Given = Annotated[Filters, Depends(filters_of)]


def read_overview(opened: GenerationCache[Any]) -> None:
    """Reads the overview ahead of the first request, which would wait for it: a second with 100,000 pictures.

    A fault is only logged, because the request meets it again and reports it.
    """
    try:
        opened.current()[1].overview.current()
    except (CrossModalError, OSError) as error:
        log.warning("the overview of the pictures can't be read yet: %s", error)


def add_timeline(router: APIRouter, opened: GenerationCache[Any]) -> None:
    """Adds GET /browse/sections, /browse/pictures and /browse/facets."""

    @router.get("/browse/sections", summary="Sections of the pictures: months or folders", responses=PROBLEMS)
    def sections(filters: Given, order: Order = "newest") -> SectionsAnswer:
        """By time, pictures without a date are in a last section."""
        overview, mask = opened.current()[1].overview.current(filters.condition())
        found = [BrowseSection(**section._asdict()) for section in overview.sections(order, mask)]
        return SectionsAnswer(n=sum(section.n for section in found), order=order, sections=found)

    @router.get("/browse/pictures", summary="All pictures, in the order of the sections", responses=PROBLEMS)
    def pictures(
        filters: Given,
        order: Order = "newest",
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    ) -> PicturesAnswer:
        """The pictures of a section follow one another, so the `n` of the earlier sections add up to its offset.

        While the collection changes, the order is up to some seconds old, and pictures that were removed since are
        missing.
        """
        now = opened.current()[1]
        overview, mask = now.overview.current(filters.condition())
        keys = overview.ordered(order, mask)
        page = keys[offset : offset + limit].tolist()
        documents = now.store.by_keys(page)
        found = [_browsed(documents[key]) for key in page if key in documents]
        return PicturesAnswer(n=len(keys), offset=offset, pictures=found)

    @router.get(
        "/browse/facets", summary="The years, places, cameras, folders and labels of the pictures", responses=PROBLEMS
    )
    def facets(filters: Given) -> FacetsAnswer:
        overview, mask = opened.current()[1].overview.current(filters.condition())
        counts = overview.facets(mask)
        return FacetsAnswer(
            facets={name: [FacetValue(value=value, n=n) for value, n in pairs] for name, pairs in counts.items()}
        )


def _browsed(picture: Document) -> BrowsedPicture:
    taken, folder, filename = (_text(picture, name) for name in ("taken", "folder", "filename"))
    return BrowsedPicture(
        id=picture.id, width=picture.width, height=picture.height, taken=taken or None, folder=folder, filename=filename
    )


def _text(picture: Document, name: str) -> str:
    value = picture.tags.get(name)
    return value if isinstance(value, str) else ""
