"""query_restful and index_restful: a Flow that stays up until it is told to stop."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from cli.index import folder_of, open_collection, resolve
from cli.query import check_model
from crossmodal.collection.collection import Collection, collections
from crossmodal.core.errors import StateError
from crossmodal.core.settings import Settings
from serving.jina.supervisor import running_flow, serve_until_stopped

MOST_STARTS, WITHIN_S = 5, 600
_STARTED_AGAIN = "CROSSMODAL_STARTED_AGAIN"
"""The environment variable in which a program that starts itself again says when it did, in Unix seconds."""


def serve_queries(settings: Settings, ready: Callable[[Collection], None]) -> None:
    """Serves the query Flow over HTTP and gRPC; `ready` is called once it answers.

    One that is writable takes documents in, too, and its collection is made where there is none.

    Raises:
        StateError: No index, another model, a port that is taken, another writer, or a Flow that does not start.
    """
    folder = folder_of(settings)
    is_new = settings.writable and folder.name not in collections(folder.parent)
    collection = open_collection(settings) if is_new else Collection.open(folder)
    check_model(collection, settings, resolve)
    with running_flow("query", collection, settings) as flow:
        ready(collection)
        ended = serve_until_stopped(flow)
    _start_again_after(ended)


def serve_indexing(settings: Settings, ready: Callable[[Collection], None]) -> None:
    """Serves the index Flow over HTTP and gRPC; the collection is made where there is none."""
    collection = open_collection(settings)
    with running_flow("index", collection, settings) as flow:
        ready(collection)
        ended = serve_until_stopped(flow)
    _start_again_after(ended)


def _start_again_after(ended: str) -> None:
    """Replaces this program by a new one where a part of the service ended by itself.

    A new one, since what was started once has threads that a second Flow's processes must not be forked with.

    Raises:
        StateError: It happens too often to be worth another try.
    """
    if not ended:
        return
    now = time.time()
    before = [float(at) for at in os.environ.get(_STARTED_AGAIN, "").split() if now - float(at) < WITHIN_S]
    if len(before) >= MOST_STARTS:
        raise StateError(
            f"parts of the service ended {MOST_STARTS + 1} times within {WITHIN_S // 60} minutes, the last was "
            f"{ended}: not starting it again; see the log above for why"
        )
    print(f"warning: {ended} ended; starting the service again", file=sys.stderr, flush=True)
    os.environ[_STARTED_AGAIN] = " ".join(f"{at:.0f}" for at in [*before, now])
    os.execv(sys.executable, sys.orig_argv)
