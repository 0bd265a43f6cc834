"""The arguments of the tools; their JSON schemas are what a client's model reads."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from crossmodal.core.settings import MAX_OFFSET
from crossmodal.search.filters import Filters
from serving.filter_fields import After, Before, Camera, Near, WithinKm

MAX_TOP_K, MAX_SIDE_PX = 50, 1024


class Filtered(BaseModel):
    """Filters of the pictures."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    after: After = None
    before: Before = None
    near: Near = None
    within_km: WithinKm = None
    camera: Camera = None
    folder: str | None = Field(None, description="a folder as `facets` lists it, without its subfolders")
    where: str | None = Field(
        None,
        description="a condition on tags and fields: tags.labels = 'dog' and filename like 'IMG_%'; `show` has the "
        "tags of a picture, `facets` the labels",
    )

    def filters(self) -> Filters:
        """The filters."""
        return Filters(self.where, self.after, self.before, self.near, self.within_km, self.camera, self.folder)


class Paged(Filtered):
    """Filters, and a page of the results."""

    top_k: int = Field(10, ge=1, le=MAX_TOP_K, description="most results")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="results to skip: `next_offset` of the page before")
    min_relevance: float | None = Field(
        None, ge=0, le=1, description="leave out results that are less likely to match; 0.5 is more likely than not"
    )
    order: Literal["relevance", "newest", "oldest"] = Field(
        "relevance", description="newest and oldest sort the pictures that fit by date"
    )


class SearchArguments(Paged):
    """Arguments of `search`."""

    text: str = Field(
        "",
        max_length=2_000,
        description='what is to be seen, in English: a dog on a beach; -word or -"two words" is to be avoided. '
        "Empty: all pictures that the filters keep, newest first",
    )


class SimilarArguments(Paged):
    """Arguments of `similar`."""

    id: str | None = Field(None, description="the id of a picture of the collection")
    path: str | None = Field(None, description="or the path of any picture on this computer")


class ShowArguments(BaseModel):
    """Arguments of `show`."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="the id of a picture")
    side_px: int = Field(512, ge=64, le=MAX_SIDE_PX, description="the longer side of the picture that is returned")
