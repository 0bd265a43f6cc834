"""query_restful and index_restful: a Flow that stays up until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable

from crossmodal.core.settings import Settings
from crossmodal.index.collection import Collection
from gateway.flow import running_flow, serve_until_stopped
from tasks.index import folder_of, open_collection
from tasks.query import check_model


def serve_queries(settings: Settings, ready: Callable[[Collection], None]) -> None:
    """Serves the query Flow over HTTP and gRPC; `ready` is called once it answers.

    Raises:
        StateError: No index, another model, a port that is taken, or a Flow that does not start.
    """
    collection = Collection.open(folder_of(settings))
    check_model(collection, settings)
    with running_flow("query", collection, settings):
        ready(collection)
        serve_until_stopped()


def serve_indexing(settings: Settings, ready: Callable[[Collection], None]) -> None:
    """Serves the index Flow over HTTP and gRPC; the collection is made where there is none."""
    collection = open_collection(settings)
    collection.store(writable=True).close()
    with running_flow("index", collection, settings):
        ready(collection)
        serve_until_stopped()
