"""The filters in the requests of clients, each with its description; see `crossmodal.search.filters.Filters`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crossmodal.search.filters import DEFAULT_KM

Where = Annotated[str | None, Field(description="a condition, see docs/storage-format.md: tags.year >= 2020")]
After = Annotated[
    str | None, Field(description="taken in this year, month, day or second, or later: 2023, 2023-07, 2023-07-01")
]
Before = Annotated[str | None, Field(description="taken before this year, month, day or second begins")]
Near = Annotated[str | None, Field(max_length=200, description="the name of a place, or LATITUDE,LONGITUDE")]
WithinKm = Annotated[float | None, Field(description=f"the radius around `near`, {DEFAULT_KM:g} by default")]
Camera = Annotated[str | None, Field(max_length=200, description="a part of the camera's name")]
Folder = Annotated[str | None, Field(description="a folder, without its subfolders; empty for the top one")]
