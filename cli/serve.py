"""Serves a query Flow or an index Flow until it is stopped."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from cli.flow_session import precision_of_new, prepare_engine, resolve
from cli.index import open_collection
from cli.location import check_watched, collection_of, folder_of
from cli.query import check_model
from cli.watch_process import watched_beside
from crossmodal.collection.collection import Collection, collections
from crossmodal.core.errors import StateError
from crossmodal.core.settings import Settings
from crossmodal.core.slices import WHOLE
from serving.jina.ports import in_url, to_ask
from serving.jina.supervisor import running_flow, serve_until_stopped

MAX_RESTARTS, WITHIN_S = 5, 600
_RESTARTS = "CROSSMODAL_STARTED_AGAIN"
"""Environment variable with the times of restarts, in Unix seconds, for the process that replaces this one."""


def serve_queries(settings: Settings, ready: Callable[[Collection], None]) -> None:
    """Serves the query Flow over HTTP and gRPC; `ready` is called once it answers.

    A service that is writable or watches a folder creates the collection if it does not exist.

    Raises:
        InputError: The folder to watch does not exist, and was not indexed before.
        StateError: There is no index, it has another model or writer, a port is in use, or the Flow does not start.
    """
    folder = folder_of(settings)
    if settings.watch is not None:
        check_watched(settings.watch, folder)
    is_new = (settings.writable or settings.watch) and folder.name not in collections(folder.parent)
    collection = open_collection(settings, resolve, precision_of_new) if is_new else Collection.open(folder)
    if is_new:
        collection.store(writable=True).close()  # the Flow or the process that watches fills it
    _prepare(collection, settings)
    with running_flow("query", collection, settings) as flow, watched_beside(collection, settings):
        ready(collection)
        ended = serve_until_stopped(flow)
    _restart_after(ended)


def try_queries(settings: Settings, started: Callable[[Collection], None]) -> float:
    """Starts the query Flow, waits until it has answered a search, and stops it; `started` is called before the search.

    Returns:
        The time of the search in milliseconds.

    Raises:
        StateError: As for `serve_queries`, or the search failed.
    """
    import httpx

    collection = collection_of(settings)
    _prepare(collection, settings)
    url = f"http://{in_url(to_ask(settings.host))}:{settings.port}/readyz"
    with running_flow("query", collection, settings):
        started(collection)
        try:
            answer = httpx.get(url, trust_env=False, timeout=30)
        except httpx.HTTPError as error:
            raise StateError(f"the service does not answer GET {url}: {error}") from error
    if answer.is_error:
        raise StateError(
            f"the service started, but GET /readyz answered {answer.status_code}: {answer.json()['detail']}"
        )
    took_ms: float = answer.json()["took_ms"]
    return took_ms


def _prepare(collection: Collection, settings: Settings) -> None:
    check_model(collection, settings, resolve)
    collection.check_slice(settings.part or WHOLE)
    prepare_engine(collection, settings)


def serve_indexing(settings: Settings, ready: Callable[[Collection], None]) -> None:
    """Serves the index Flow over HTTP and gRPC; creates the collection if it does not exist."""
    collection = open_collection(settings, resolve, precision_of_new)
    prepare_engine(collection, settings)
    with running_flow("index", collection, settings) as flow:
        ready(collection)
        ended = serve_until_stopped(flow)
    _restart_after(ended)


def _restart_after(ended: str) -> None:
    """Replaces this process by a new one if a part of the service ended unexpectedly.

    This process can't start a second Flow, because the threads of the first make forking unsafe.

    Raises:
        StateError: There were too many restarts.
    """
    if not ended:
        return
    now = time.time()
    recent = [float(at) for at in os.environ.get(_RESTARTS, "").split() if now - float(at) < WITHIN_S]
    if len(recent) >= MAX_RESTARTS:
        raise StateError(
            f"parts of the service ended {MAX_RESTARTS + 1} times within {WITHIN_S // 60} minutes, the last was "
            f"{ended}: not restarting; the log above has the reason"
        )
    print(f"warning: {ended} ended; restarting the service", file=sys.stderr, flush=True)
    os.environ[_RESTARTS] = " ".join(f"{at:.0f}" for at in [*recent, now])
    os.execv(sys.executable, sys.orig_argv)
