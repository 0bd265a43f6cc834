"""Dates and places in the text of a search, and the answer if no other words remain."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date
from typing import Any

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.search.listing import listed
from crossmodal.search.overview import Overview
from crossmodal.search.query import Page, Query, SearchOptions
from crossmodal.search.understanding import Known, Understood, understand
from serving.http.schemas import SearchAnswer, SearchRequest, Took
from serving.http.search import condition_of, echo, parts_of_text, result_of


@dataclass
class _WithoutPlaces:
    """What a client knows that may not know where pictures were taken."""

    has_dates: bool
    has_places: bool = False

    def is_named(self, name: str) -> bool:
        """As `Known.is_named`."""
        return False


def understood_of(
    request: SearchRequest, opened: GenerationCache[Any], *, hides_location: bool = False
) -> Understood | None:
    """What a request's text says about time and place, None if that was not asked for.

    Names of places stay words to search for if the client may not know where pictures were taken.
    """
    if not request.understand or not request.text:
        return None

    def known() -> Known:
        overview: Overview = opened.current()[1].overview.current()[0]
        return _WithoutPlaces(overview.has_dates) if hides_location else overview

    return understand(request.text, date.today(), known)


def is_listing(request: SearchRequest, picture: bytes | None, understood: Understood) -> bool:
    """Whether nothing is left to search for but a time or a place."""
    if understood.text or not understood.parts:
        return False
    others = (picture, request.image, request.like, request.likes, request.unlikes, request.exclude)
    return not any(others)


def listing(
    request: SearchRequest, understood: Understood, opened: GenerationCache[Any], part: str = ""
) -> SearchAnswer:
    """The pictures of the time and place that were understood, by date; of all slices, whatever the `part`.

    Raises:
        InputError: A filter is malformed.
    """
    start = time.perf_counter()
    now = opened.current()[1]
    overview, mask = now.overview.current(condition_of(request, understood))
    results = listed(now.store, overview, mask, Page(request.top_k, request.offset, order=request.order))
    return SearchAnswer(
        model=str(now.collection.model),
        collection=now.collection.root.name,
        took_ms=Took(encode=0, search=0, rank=0, total=round((time.perf_counter() - start) * 1e3, 3)),
        n=len(results.matches),
        more=results.more,
        fits=None,
        ordered=None,
        slice=part or None,
        understood=parts_of_text(understood),
        listed=True,
        results=[result_of(match, None) for match in results.matches],
        query=echo(request, Query(options=SearchOptions(target="image")), ""),
        note=results.note,
    )
