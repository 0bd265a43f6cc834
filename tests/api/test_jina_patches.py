"""Which Executors a query reaches, seen from outside."""

import httpx
import psutil
from conftest import Service
from test_search import PICTURE, data_uri
from test_service import executors_of

N_QUERIES = 20


def woken_by(service: Service, item: object) -> int:
    """How many Executors have work with each of several equal queries.

    Indexes also follow the store twice a second: the least of several counts is that of the queries.
    """
    return min(_woken_by(service, item) for _ in range(3))


def _woken_by(service: Service, item: object) -> int:
    executors = executors_of(service)
    before = [switches(process) for process in executors]
    for _ in range(N_QUERIES):
        httpx.post(service.url + "/search", json={"data": [item]}, timeout=20).raise_for_status()
    return sum(switches(process) - b >= N_QUERIES for process, b in zip(executors, before, strict=True))


def switches(process: psutil.Process) -> int:
    """How often the process has waited; an event loop does so once an event at least."""
    return int(process.num_ctx_switches().voluntary)


def test_a_query_wakes_only_the_executors_on_its_way(query_service: Service) -> None:
    assert len(executors_of(query_service)) == 7
    assert woken_by(query_service, "a red heart") == 3  # text encoder, image vectors, ranker
    # loader, normalizer, encoder, both vector indexers (only the captions' one searches), ranker
    assert woken_by(query_service, {"uri": data_uri(PICTURE.read_bytes())}) == 6
