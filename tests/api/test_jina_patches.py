"""Which Executors a query reaches, seen from outside."""

import time

import httpx
import psutil
from conftest import Service
from test_search import PICTURE, data_uri
from test_service import executors_of

N_QUERIES = 20
IDLE_PER_S = 8
"""How often an index waits without queries: it follows the store twice a second."""


def woken_by(service: Service, item: object) -> int:
    """How many Executors have work with each of several equal queries: the least of several counts."""
    executors = executors_of(service)
    counts: list[int] = []
    for _ in range(30):
        start, before = time.monotonic(), [switches(process) for process in executors]
        for _ in range(N_QUERIES):
            httpx.post(service.url + "/search", json={"data": [item]}, timeout=20).raise_for_status()
        woken = sum(switches(process) - b >= N_QUERIES for process, b in zip(executors, before, strict=True))
        if (time.monotonic() - start) * IDLE_PER_S < N_QUERIES:  # on a loaded machine, idle Executors count as well
            counts.append(woken)
        if len(counts) == 3:
            break
    assert counts, "every count took so long that idle Executors were among them"
    return min(counts)


def switches(process: psutil.Process) -> int:
    """How often the process has waited; an event loop does so once an event at least."""
    return int(process.num_ctx_switches().voluntary)


def test_a_query_wakes_only_the_executors_on_its_way(query_service: Service) -> None:
    assert len(executors_of(query_service)) == 7
    assert woken_by(query_service, "a red heart") == 3  # text encoder, image vectors, ranker
    # loader, normalizer, encoder, both vector indexers (only the captions' one searches), ranker
    assert woken_by(query_service, {"uri": data_uri(PICTURE.read_bytes())}) == 6
