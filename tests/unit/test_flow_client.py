"""The client of a Flow, against a real gRPC endpoint whose Executors are faked."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from crossmodal.core.settings import Settings
from executors.schema import MediaDoc
from serving.jina.ports import reserve_port_pair
from serving.jina.supervisor import prepare_jina

prepare_jina()

from serving.jina.client_requests import ClientRequests  # noqa: E402
from serving.jina.flow_client import PREFETCH, call  # noqa: E402
from serving.jina.grpc_endpoint import GrpcEndpoint  # noqa: E402

N_REQUESTS = 3 * PREFETCH


class CountingRouter:
    """Returns requests unchanged, and counts those that it has at the same time."""

    def __init__(self) -> None:
        self.running = self.most = 0

    async def answer(self, request: Any) -> tuple[bytes, bool]:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.02)
        self.running -= 1
        return request.SerializeToString(), False


async def admit(_: int | None) -> None: ...


@pytest.fixture
def served() -> Iterator[tuple[CountingRouter, Settings]]:
    router, settings = CountingRouter(), Settings(port=reserve_port_pair(), request_size=2)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def started() -> GrpcEndpoint:
        endpoint = GrpcEndpoint(ClientRequests(router, {"/index"}, admit), f"127.0.0.1:{settings.port + 1}")
        await endpoint.start()
        return endpoint

    endpoint = asyncio.run_coroutine_threadsafe(started(), loop).result()
    yield router, settings
    asyncio.run_coroutine_threadsafe(endpoint.close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_few_requests_are_in_flight_and_their_answers_come_in_order(served: tuple[CountingRouter, Settings]) -> None:
    router, settings = served
    ids = [f"{number}" for number in range(2 * N_REQUESTS)]
    answered: list[str] = []
    docs = (MediaDoc(id=name, modality="image") for name in ids)
    call(settings, "/index", docs, lambda answers: answered.extend(doc.id for doc in answers))
    assert answered == ids
    assert 1 < router.most <= PREFETCH


def test_a_log_level_that_is_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINA_LOG_LEVEL", "INFO")
    prepare_jina()
    assert os.environ["JINA_LOG_LEVEL"] == "INFO"
