"""saved: runs a saved search in this process."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from cli.location import collection_of
from cli.printing import say_aside
from cli.query import QueryAnswer, hit_of
from crossmodal.collection.encoder import prepared_encoder
from crossmodal.core.errors import InputError
from crossmodal.core.settings import Settings
from crossmodal.core.types import Modality
from crossmodal.search.filters import Filters
from crossmodal.search.known_pictures import KnownPictures
from crossmodal.search.listing import listed
from crossmodal.search.overview import LatestOverview
from crossmodal.search.query import Page, SearchOptions, read_query
from crossmodal.search.service import SearchService
from crossmodal.search.understanding import Understood, understand
from crossmodal.store.saved_searches import Saved
from crossmodal.store.where import all_of

_FILTERS = ("where", "after", "before", "near", "within_km", "camera", "folder")
_KNOWN = {*_FILTERS, "text", "exclude", "like", "likes", "unlikes", "mix", "order", "understand", "min_relevance",
          "min_score", "fusion"}  # fmt: skip
_IGNORED = {"top_k", "offset", "collection", "vectors", "after_seq", "target"}


def searches_of(settings: Settings) -> Saved:
    """The saved searches of a collection."""
    with collection_of(settings).store() as store:
        return store.searches.all()


def remove(settings: Settings, name: str) -> None:
    """Removes a saved search.

    Raises:
        InputError: There is none of this name.
        StateError: Another process writes to the collection.
    """
    with collection_of(settings).store(writable=True) as store:
        if not store.searches.remove(name):
            raise _unknown(name, store.searches.all())


def run(settings: Settings, name: str) -> QueryAnswer:
    """The pictures that a saved search finds now, at most `settings.top_k`.

    Raises:
        InputError: There is none of this name, or it has a part that only a service can search for.
    """
    known = searches_of(settings)
    if name not in known:
        raise _unknown(name, known)
    request: dict[str, Any] = known[name].get("request") or {}
    if strange := sorted(request.keys() - _KNOWN - _IGNORED):
        raise InputError(f"{name!r} searches by {', '.join(strange)}, which only a service does: open it on the page")
    collection = collection_of(settings)
    filters = Filters(**{field: request.get(field) for field in _FILTERS}).condition()
    order = request.get("order", "relevance")
    page = Page(settings.top_k, 0, request.get("min_score"), request.get("min_relevance"), order)
    options = SearchOptions(page.n_candidates, "image", filters, request.get("fusion") or "", page)
    text, like = request.get("text") or "", request.get("like") or ""
    with collection.store() as store:
        overview, understood = LatestOverview(store), Understood(text)
        if text and request.get("understand"):
            understood = understand(text, date.today(), lambda: KnownPictures(store))
        options = replace(options, where=all_of(filters, understood.condition()))
        likes, unlikes = (request.get(field) or [] for field in ("likes", "unlikes"))
        if not understood.text and not like and not likes:
            results = listed(store, *overview.current(options.where), page)
        else:
            exclude, mix = request.get("exclude") or [], request.get("mix", 0.5)
            query = read_query(
                understood.text, exclude, None, like, mix, options, has_captions=True, likes=likes, unlikes=unlikes
            )
            modality: Modality = "text" if "text" in collection.model.modalities else "image"
            encoder = prepared_encoder(collection, (modality,), settings.threads or None, settings.engine, say_aside)
            with SearchService(collection, encoder) as service:
                results = service.search(query)
    hits = tuple(hit_of(rank, match) for rank, match in enumerate(results.matches, 1))
    return QueryAnswer(
        name, "text", "image", hits, results.fusion, results.note, results.fits, results.ordered, understood.parts
    )


def _unknown(name: str, known: Saved) -> InputError:
    return InputError(f"no saved search {name!r}: there are {', '.join(map(repr, known)) or 'none'}")
