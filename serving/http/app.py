"""The HTTP application: all routes, middleware and error handlers, put together."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, FastAPI

from crossmodal.collection.collection import Collection
from crossmodal.collection.encoder import engine_of
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.engine import EngineRequest
from crossmodal.duplicates.latest import LatestDuplicates
from crossmodal.images import fetch
from crossmodal.search.overview import LatestOverview
from serving.config import ServiceConfig
from serving.http.application import new_application
from serving.http.browsing import add_browsing
from serving.http.catalog import add_catalog
from serving.http.documents import add_change_routes, add_refusals
from serving.http.downloads import add_downloads
from serving.http.duplicates import add_duplicates
from serving.http.embeddings import add_embeddings
from serving.http.errors import ProblemRoute, add_error_handlers, legacy_or_problem
from serving.http.freshness import Freshness
from serving.http.health import add_health, add_metrics, add_readiness
from serving.http.legacy_routes import LegacyRoutes
from serving.http.metrics import CountRequests, Metrics
from serving.http.pages import add_page
from serving.http.pictures import add_pictures, own_pictures
from serving.http.playground import add_playground
from serving.http.saved_searches import add_saved_searches
from serving.http.search import Searcher
from serving.http.search_routes import add_encode, add_search
from serving.http.timeline import add_timeline, read_overview
from serving.http.url_pictures import UrlPictures
from serving.jina.flow_calls import FlowCalls
from serving.middleware.access_policy import add_access_policy


def make_app(flow: FlowCalls, collection: Collection, config: ServiceConfig, metrics: Metrics) -> FastAPI:
    """Returns the HTTP application in front of a Flow.

    Args:
        flow: Calls the Flow.
        collection: The collection to serve; pictures and thumbnails are read from its store.
        config: The endpoints, limits and access rules of the service.
        metrics: The metrics that GET /metrics shows.

    Returns:
        The application; `state.freshness.watch()` must run while it serves searches, and `state.read_overview()` may
        be called in a thread, so that the first request for pictures need not wait.
    """
    description = "Find pictures with words, captions with a picture, pictures with a picture."
    app = new_application(has_keys=bool(config.keys), has_legacy=True, description=description)
    add_access_policy(app, config, legacy_or_problem)
    add_error_handlers(app)
    opened = GenerationCache(
        str(collection.root),
        lambda generation: _Opened(generation, EngineRequest.parse(config.engine)),
        lambda generation: generation.store.close(),
    )
    rules = fetch.DEFAULT_RULES if config.allow_url_fetch else None
    urls = UrlPictures(rules, lambda request: own_pictures(request, opened.current()[1].store))
    app.state.freshness = freshness = Freshness(flow, opened, config.max_lag_s)
    app.state.read_overview = partial(read_overview, opened)
    legacy = LegacyRoutes(flow, urls, freshness.last_seq)
    searcher = Searcher(flow, opened, config.part)
    if config.writable:
        legacy.add_index(app)
    if config.endpoint != "/search":
        legacy.refuse_search(app)
    router = APIRouter(route_class=ProblemRoute)
    add_encode(router, searcher, opened, urls)
    add_catalog(router, opened, config.also)
    add_browsing(router, opened)
    add_timeline(router, opened)
    add_duplicates(router, opened, has_slice=bool(config.part))
    if config.endpoint == "/search":
        add_search(router, searcher, opened, urls, legacy.search, freshness)
        add_readiness(router, flow, searcher, opened, freshness, has_slice=bool(config.part))
        metrics.watch("lag_seconds", "Age of the oldest commit that the indexes may lack, at most", freshness.bound_s)
    add_metrics(router, opened, metrics)
    app.include_router(router)
    add_embeddings(app, searcher, opened, urls)
    if config.writable:
        add_change_routes(app, flow, freshness.last_seq)
    else:
        add_refusals(app)
    add_health(app, flow, opened, config, freshness)
    add_pictures(app, opened, private_location=config.private_location)
    add_downloads(app, opened)
    add_saved_searches(app, opened, flow, writable=config.writable)
    add_playground(app, collection.root.parent)
    add_page(app)
    app.add_middleware(CountRequests, metrics=metrics)  # added last, so that it sees each request first
    return app


class _Opened:
    """A generation of the collection, its store, the engine of its encoders, and its vocabulary if it has one."""

    def __init__(self, collection: Collection, request: EngineRequest) -> None:
        self.collection, self.store = collection, collection.store()
        self.overview = LatestOverview(self.store, open_store=collection.store)
        self.duplicates = LatestDuplicates(collection, self.store)
        self.engine = engine_of(collection, request, lambda _: None)  # the Executors say it
        self.words = None
        if collection.model.has_lexical:
            from serving.http.known_words import Words  # a large import that only sparse collections need

            self.words = Words(collection.model, self.store)
