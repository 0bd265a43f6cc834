"""Pictures without a query: those of a time and place, by date."""

from __future__ import annotations

from dataclasses import replace

from crossmodal.search.hydration import pictures_of
from crossmodal.search.overview import Mask, Overview
from crossmodal.search.query import Page
from crossmodal.search.results import Match, SearchResults
from crossmodal.store.protocol import Store

NOTE = "no words are left to search for: these are the pictures of that time and place, by date"


def listed(store: Store, overview: Overview, mask: Mask | None, page: Page) -> SearchResults:
    """A page of the pictures of a mask, newest first unless the page's order is `oldest`; all scores are 0."""
    keys = overview.ordered("oldest" if page.order == "oldest" else "newest", mask)
    wanted = keys[page.offset : page.offset + page.size].tolist()
    documents = store.by_keys(wanted)
    matches = [Match(documents[key], {"cosine": 0.0}, {}) for key in wanted if key in documents]
    pictures = pictures_of(store, [match.document for match in matches])
    matches = [replace(match, picture=picture) for match, picture in zip(matches, pictures, strict=True)]
    return SearchResults(matches, note=NOTE, more=len(keys) > page.offset + page.size)
